package io.xlstm4j.runtime;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.JdkFaults;
import io.xlstm4j.core.LanguageModel;
import io.xlstm4j.core.ModelState;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.checkpoint.SpecialTokens;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.safetensors.FiniteNumbers;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MemoryMatrix;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/// A language model of either family, run from the weights as they lie in the checkpoint's files,
/// without libtorch.
///
/// Two ways to use it. [Sequence]s are changed in place and cost nothing per token: [#newSequence],
/// [#prefill(Sequence, int...)], [#step(int[], Sequence...)]. States as values, for hosts that know
/// only [LanguageModel], are copied in and out at every call.
///
/// Safe for many threads: calls wait for each other, and each is spread over the threads of the
/// kernels. A sequence's numbers depend on its own tokens alone, bit for bit: not on the sequences
/// beside it, nor on the number of threads. A run cut elsewhere gives the same up to rounding.
public final class RuntimeModel implements LanguageModel {
  /// Weights up to this size are looked through when they are opened, which takes a few
  /// milliseconds; larger ones when a result is not finite.
  private static final long CHECKED_BYTES = 64 << 20;

  private final ModelFolder folder;
  private final Arena arena;
  private final boolean ownsKernels;
  private final Network network;
  private final ReentrantLock lock = new ReentrantLock();
  private long calls;
  private boolean closed;
  private @Nullable String fingerprint;
  private @Nullable SpecialTokens specialTokens;

  private RuntimeModel(ModelFolder folder, Arena arena, Kernels kernels, boolean ownsKernels) {
    this.folder = folder;
    this.arena = arena;
    this.ownsKernels = ownsKernels;
    this.network =
        Network.of(folder.config().model(), new Weights(folder.tensors(), arena), kernels);
  }

  /// Opens a checkpoint folder on the threads that the process shares: one for each processor, or
  /// as the system property `xlstm4j.threads` says.
  ///
  /// @return the model, to be closed by the caller
  /// @throws InvalidInputException if anything about the folder is wrong
  public static RuntimeModel open(Path folder) {
    JdkFaults.logOnce();
    return open(folder, Kernels.shared(), false);
  }

  /// Opens a checkpoint folder on threads of its own.
  ///
  /// @param threads how many, the calling one included
  /// @throws InvalidInputException if anything about the folder is wrong
  public static RuntimeModel open(Path folder, int threads) {
    return open(folder, Kernels.withThreads(threads), true);
  }

  /// Opens a checkpoint folder on given kernels, which stay the caller's.
  public static RuntimeModel open(Path folder, Kernels kernels) {
    return open(folder, kernels, false);
  }

  @SuppressWarnings("MustBeClosedChecker") // the new model closes it
  private static RuntimeModel open(Path folder, Kernels kernels, boolean ownsKernels) {
    ModelFolder opened = null;
    Arena arena = Arena.ofShared();
    try {
      opened = ModelFolder.open(folder);
      if (FiniteNumbers.bytes(opened.tensors()) <= CHECKED_BYTES) {
        FiniteNumbers.require(opened.tensors(), OneLine.of(folder));
      }
      return new RuntimeModel(opened, arena, kernels, ownsKernels);
    } catch (RuntimeException | Error e) {
      arena.close();
      if (opened != null) {
        opened.close();
      }
      if (ownsKernels) {
        kernels.threads().close();
      }
      throw e;
    }
  }

  public ModelConfig config() {
    return folder.config().model();
  }

  /// Returns the contents of `config.json`, the tokenizer's name included.
  public CheckpointConfig checkpoint() {
    return folder.config();
  }

  /// The tokens that begin and end a text, as the folder's files say.
  ///
  /// @throws InvalidInputException if one of the files is not what it must be
  public SpecialTokens specialTokens() {
    return locked(() -> {
      if (specialTokens == null) {
        specialTokens = SpecialTokens.read(folder.path(), folder.config());
      }
      return specialTokens;
    });
  }

  /// Looks for the weight behind a result that is not finite.
  ///
  /// @throws InvalidInputException that names the tensor, if there is one
  void requireFiniteWeights() {
    locked(() -> {
      requireOpen();
      FiniteNumbers.require(folder.tensors(), OneLine.of(folder.path()));
      return closed;
    });
  }

  @Override
  public int vocabSize() {
    return folder.config().model().vocabSize();
  }

  /// Bytes of one sequence's state.
  public long stateBytes() {
    return (long) layout().floats() * Float.BYTES;
  }

  /// Identifies the weights: equal for copies of a checkpoint, different after any training step
  /// (see [Fingerprint]).
  public String fingerprint() {
    return locked(() -> {
      if (fingerprint == null) {
        fingerprint = Fingerprint.of(folder.config(), folder.tensors());
      }
      return fingerprint;
    });
  }

  // ---- sequences, in place
  // --------------------------------------------------------------------------

  /// A sequence before its first token, to be closed by the caller.
  public Sequence newSequence() {
    return new Sequence(this);
  }

  /// A sequence as [Sequence#save] left it.
  ///
  /// @throws InvalidStateException if the file is damaged or of another model
  public Sequence restore(Path file) {
    Sequence row = newSequence();
    try {
      StateFile.read(row, file);
      return row;
    } catch (RuntimeException e) {
      row.close();
      throw e;
    }
  }

  /// Reads a run of tokens; the sequence's logits are those after the last.
  ///
  /// @throws IllegalArgumentException if `ids` is empty or has an id outside the vocabulary; the
  ///   sequence is then as it was
  public void prefill(Sequence row, int... ids) {
    prefill(row, ids, null);
  }

  /// Called with the logits after each token of a run.
  @FunctionalInterface
  public interface LogitsListener {
    /// @param index of the token in the run
    /// @param logits after it, in the sequence's own array, which is overwritten after the call
    void onLogits(int index, float[] logits);
  }

  /// Reads a run of tokens and tells the logits after each, which takes longer.
  ///
  /// @param listener must not call the model; null for the last logits alone
  public void prefill(Sequence row, int[] ids, @Nullable LogitsListener listener) {
    requireTokens(ids, ids.length);
    if (ids.length == 0) {
      throw new IllegalArgumentException("prefill needs at least one token id");
    }
    lock.lock();
    try {
      begin(row);
      for (int from = 0; from < ids.length; from += Workspace.TOKENS) {
        int count = Math.min(Workspace.TOKENS, ids.length - from);
        network.embed(ids, from, count);
        network.work().sequence(count, row.state());
        network.blocks();
        row.advance(count);
        if (listener != null) {
          tellAll(row, from, count, listener);
        } else if (from + count == ids.length) {
          row.logits(network.head().forward(count - 1, 1).data(), 0);
        }
      }
      network.work().kernels.warmUpJit();
    } finally {
      lock.unlock();
    }
  }

  private void tellAll(Sequence row, int from, int count, LogitsListener listener) {
    Head head = network.head();
    for (int first = 0; first < count; first += head.maxTokens()) {
      int some = Math.min(head.maxTokens(), count - first);
      MemoryMatrix logits = head.forward(first, some);
      for (int i = 0; i < some; i++) {
        row.logits(logits.data(), logits.row(i));
        listener.onLogits(from + first + i, row.logits());
      }
    }
  }

  /// Advances several sequences by one token each; sequences may stand at different positions.
  ///
  /// @param ids one token id per sequence
  /// @throws IllegalArgumentException if the counts differ, a sequence comes twice or an id is
  ///   outside the vocabulary; the sequences are then as they were
  public void step(int[] ids, Sequence... rows) {
    step(ids, rows, rows.length);
  }

  /// The same for the first `count` sequences, so that arrays can be kept while sequences leave.
  public void step(int[] ids, Sequence[] rows, int count) {
    if (count < 1 || count > rows.length || count > ids.length) {
      throw new IllegalArgumentException(
          "ids (%d) and rows (%d) must be equally many, at least one"
              .formatted(ids.length, rows.length));
    }
    requireTokens(ids, count);
    lock.lock();
    try {
      requireOpen();
      calls++;
      for (int i = 0; i < count; i++) {
        rows[i].requireOf(this);
        if (rows[i].call == calls) {
          throw new IllegalArgumentException("row " + i + " comes twice in one step");
        }
        rows[i].call = calls;
      }
      for (int from = 0; from < count; from += Workspace.TOKENS) {
        stepSome(ids, rows, from, Math.min(Workspace.TOKENS, count - from));
      }
      network.work().kernels.warmUpJit(); // a restored sequence may never see a prefill
    } finally {
      lock.unlock();
    }
  }

  private void stepSome(int[] ids, Sequence[] rows, int from, int count) {
    Workspace work = network.work();
    network.embed(ids, from, count);
    work.step(count);
    for (int i = 0; i < count; i++) {
      work.state(i, rows[from + i].state());
    }
    network.blocks();
    Head head = network.head();
    for (int first = 0; first < count; first += head.maxTokens()) {
      int some = Math.min(head.maxTokens(), count - first);
      MemoryMatrix logits = head.forward(first, some);
      for (int i = 0; i < some; i++) {
        Sequence row = rows[from + first + i];
        row.advance(1);
        row.logits(logits.data(), logits.row(i));
      }
    }
  }

  private void begin(Sequence row) {
    requireOpen();
    row.requireOf(this);
    calls++;
  }

  private void requireTokens(int[] ids, int count) {
    for (int i = 0; i < count; i++) {
      if (ids[i] < 0 || ids[i] >= vocabSize()) {
        throw new IllegalArgumentException(
            "token id (%d) must be in [0, vocabSize (%d))".formatted(ids[i], vocabSize()));
      }
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the model of " + folder.path() + " is closed");
    }
  }

  StateLayout layout() {
    return network.layout();
  }

  // ---- states as values ------------------------------------------------------------------------

  @Override
  public ModelState initialState() {
    try (Sequence row = newSequence()) {
      return row.snapshot();
    }
  }

  @Override
  public Prediction prefill(int[] ids, ModelState state) {
    try (Sequence row = newSequence()) {
      row.load(state);
      prefill(row, ids);
      return new Prediction(row.logits(), row.snapshot());
    }
  }

  @Override
  public List<Prediction> step(int[] ids, List<ModelState> states) {
    if (ids.length != states.size() || ids.length == 0) {
      throw new IllegalArgumentException(
          "ids (%d) and states (%d) must be equally many, at least one"
              .formatted(ids.length, states.size()));
    }
    var rows = new Sequence[ids.length];
    try {
      for (int i = 0; i < rows.length; i++) {
        rows[i] = newSequence();
        rows[i].load(states.get(i));
      }
      step(ids, rows);
      var predictions = new ArrayList<Prediction>();
      for (Sequence row : rows) {
        predictions.add(new Prediction(row.logits(), row.snapshot()));
      }
      return predictions;
    } finally {
      for (Sequence row : rows) {
        if (row != null) {
          row.close();
        }
      }
    }
  }

  @Override
  public void close() {
    locked(() -> {
      if (!closed) {
        closed = true;
        arena.close();
        folder.close();
        if (ownsKernels) {
          network.work().kernels.threads().close();
        }
      }
      return closed;
    });
  }

  private <T> T locked(java.util.function.Supplier<T> body) {
    lock.lock();
    try {
      return body.get();
    } finally {
      lock.unlock();
    }
  }
}
