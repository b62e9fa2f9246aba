package io.xlstm4j.runtime;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.StoredLinearKernel;
import io.xlstm4j.kernels.StoredLinearKernel.Part;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/// Memory that the blocks of a model share during a forward pass: activations, the states of the
/// sequences, and how work is spread over the threads.
///
/// A batch is either one sequence with several tokens, or several sequences with one token each.
/// Activations have one row for each token of either.
final class Workspace {
  /// Tokens in a batch at most; longer runs go through in pieces.
  static final int TOKENS = 512;

  /// Tokens of a run that is not worth the kernels of whole sequences, which take a while to be
  /// compiled.
  private static final int SHORT = 16;

  /// Tokens to a task, for work that is done token by token.
  private static final int SLICE = 16;

  final Kernels kernels;
  final StoredLinearKernel storedLinear;
  private final Arena arena;
  private final Map<String, MemoryMatrix> buffers = new HashMap<>();

  /// The residual stream `(tokens, D)`.
  final MemoryMatrix x;

  // the batch under way
  private int tokens;
  private boolean sequence;
  private final MemorySegment[] states = new MemorySegment[TOKENS];

  Workspace(Kernels kernels, Arena arena, int embeddingDim) {
    this.kernels = kernels;
    this.storedLinear = kernels.storedLinear();
    this.arena = arena;
    this.x = buffer("x", embeddingDim);
  }

  /// Work on the tokens in `[first, end)`.
  interface Slice {
    void run(int first, int end);
  }

  /// Activations of a name and width; blocks that ask for the same share them.
  MemoryMatrix buffer(String name, int width) {
    return buffers.computeIfAbsent(
        name + ":" + width,
        _ -> new MemoryMatrix(arena.allocate((long) TOKENS * width * Float.BYTES, 64), 0, width));
  }

  /// Begins a batch of one sequence.
  void sequence(int length, MemorySegment state) {
    tokens = length;
    sequence = true;
    states[0] = state;
  }

  /// Begins a batch of one token each; the states follow by [#state(int, MemorySegment)].
  void step(int rows) {
    tokens = rows;
    sequence = false;
  }

  void state(int row, MemorySegment state) {
    states[row] = state;
  }

  int tokens() {
    return tokens;
  }

  /// Returns whether the tokens belong to one sequence.
  boolean isSequence() {
    return sequence;
  }

  /// Returns whether cells go token by token: batches of several sequences, and runs too short to
  /// be worth more.
  boolean isByToken() {
    return !sequence || tokens <= SHORT;
  }

  /// The state of the sequence that a token belongs to.
  MemorySegment stateOf(int token) {
    return states[sequence ? 0 : token];
  }

  /// Runs work that tokens do not share, on all threads if it is enough for them.
  void each(Slice slice) {
    if (tokens <= SLICE) {
      slice.run(0, tokens);
      return;
    }
    kernels
        .threads()
        .run(
            Math.ceilDiv(tokens, SLICE),
            task -> slice.run(task * SLICE, Math.min(tokens, (task + 1) * SLICE)));
  }

  /// Products of all tokens of the batch.
  void project(Part... parts) {
    if (sequence) {
      storedLinear.runSequence(tokens, parts);
    } else {
      storedLinear.run(tokens, parts);
    }
  }

  /// The memory of the batch's tokens in a buffer that starts at 0 and has no gaps.
  MemorySegment whole(MemoryMatrix rows) {
    return rows.data().asSlice(0, (long) tokens * rows.stride() * Float.BYTES);
  }
}
