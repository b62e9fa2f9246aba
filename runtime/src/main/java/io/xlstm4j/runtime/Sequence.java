package io.xlstm4j.runtime;

import io.xlstm4j.core.ModelState;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;

/// One sequence on its way through a [RuntimeModel]: its state, which every call advances in place,
/// and the logits after its last token.
///
/// Belongs to its model and to one thread at a time. Rows share nothing: what happens to one never
/// reaches another.
public final class Sequence implements AutoCloseable {
  private final RuntimeModel model;
  private final Arena arena;
  private final MemorySegment state;
  private final float[] logits;
  private boolean hasLogits;
  private long position;

  /// The call that this sequence is part of, so that none takes it twice.
  long call;

  @SuppressWarnings("MustBeClosedChecker") // close() ends it
  Sequence(RuntimeModel model) {
    this.model = model;
    arena = Arena.ofShared();
    state = arena.allocate((long) model.layout().floats() * Float.BYTES, 64);
    logits = new float[model.vocabSize()];
  }

  /// Tokens read so far.
  public long position() {
    return position;
  }

  /// Natural-log scores of the next token, V of them: the sequence's own array, which the next call
  /// overwrites.
  ///
  /// @throws IllegalStateException before the first token
  public float[] logits() {
    if (!hasLogits) {
      throw new IllegalStateException("the row has read no token yet, so it has no logits");
    }
    return logits;
  }

  /// Returns whether there are logits: after the first token, or a restored file.
  public boolean hasLogits() {
    return hasLogits;
  }

  /// A sequence that stands where this one does and goes its own way.
  public Sequence fork() {
    Sequence copy = model.newSequence();
    copy.copyFrom(this);
    return copy;
  }

  /// Takes over where another sequence of the same model stands.
  public void copyFrom(Sequence other) {
    requireOf(other.model);
    state.copyFrom(other.state);
    System.arraycopy(other.logits, 0, logits, 0, logits.length);
    hasLogits = other.hasLogits;
    position = other.position;
  }

  /// Back to before the first token.
  public void reset() {
    state.fill((byte) 0);
    hasLogits = false;
    position = 0;
  }

  /// The state as a value that other hosts of the model understand; without the logits.
  public ModelState snapshot() {
    var parts = new LinkedHashMap<String, ModelState.Part>();
    for (StateLayout.Part part : model.layout().parts()) {
      float[] values =
          MlstmCell.slice(state, part.at(), part.floats()).toArray(ValueLayout.JAVA_FLOAT);
      parts.put(part.name(), new ModelState.Part(part.shape(), values));
    }
    return new ModelState(parts, position);
  }

  /// Takes a state over; there are no logits until the next token.
  ///
  /// @throws IllegalArgumentException if it has not this model's parts
  public void load(ModelState from) {
    if (from.parts().size() != model.layout().parts().size()) {
      throw new IllegalArgumentException(
          "a state has %d parts, but this model needs %d; it has %s"
              .formatted(
                  from.parts().size(), model.layout().parts().size(), from.parts().keySet()));
    }
    for (StateLayout.Part part : model.layout().parts()) {
      ModelState.Part given = from.part(part.name());
      if (!Arrays.equals(given.shape(), part.shape())) {
        throw new IllegalArgumentException(
            "state %s has shape %s, but this model needs %s"
                .formatted(
                    part.name(), Arrays.toString(given.shape()), Arrays.toString(part.shape())));
      }
    }
    for (StateLayout.Part part : model.layout().parts()) {
      float[] values = from.part(part.name()).values();
      MemorySegment.copy(
          values, 0, state, ValueLayout.JAVA_FLOAT, (long) part.at() * Float.BYTES, values.length);
    }
    hasLogits = false;
    position = from.position();
  }

  /// Writes state and logits to a file that [RuntimeModel#restore] reads.
  ///
  /// @throws io.xlstm4j.core.InvalidInputException if the system refuses
  public void save(Path file) {
    StateFile.write(this, file);
  }

  /// Frees the state. A second call does nothing.
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  RuntimeModel model() {
    return model;
  }

  MemorySegment state() {
    return state;
  }

  void requireOf(RuntimeModel expected) {
    if (model != expected) {
      throw new IllegalArgumentException("the row belongs to another model");
    }
  }

  void advance(long tokens) {
    position += tokens;
    hasLogits = false;
  }

  /// Copies logits from memory.
  void logits(MemorySegment from, long at) {
    MemorySegment.copy(from, ValueLayout.JAVA_FLOAT, at * Float.BYTES, logits, 0, logits.length);
    hasLogits = true;
  }

  /// Logits that are about to be written, and the position they belong to.
  float[] restored(long newPosition, boolean withLogits) {
    position = newPosition;
    hasLogits = withLogits;
    return logits;
  }
}
