package io.xlstm4j.train.task;

import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.torch.Parameters;
import java.nio.file.Path;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.BooleanSupplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/// A training task: a model, its data, and the loss between them. The trainer knows nothing else of
/// either.
///
/// Everything it does is a function of the weights and the number of the batch, so that a resumed
/// run goes on as if it had never stopped.
public interface Task extends AutoCloseable {
  /// Returns the name of the data for display: the corpus's name.
  String name();

  /// The model in a line, for people.
  String describe();

  /// Returns notes on the data for the user, a line each.
  default List<String> notes() {
    return List.of();
  }

  Parameters parameters();

  /// Returns the vocabulary size of a language model; 1 for other models.
  default int vocabulary() {
    return 1;
  }

  /// Returns whether weight decay applies to a parameter.
  boolean decays(String parameter);

  /// Turns dropout on or off; it is off at first.
  void training(boolean on);

  /// Returns the unit in which the data is counted for display.
  Unit unit();

  /// The unit in which data is counted for display.
  ///
  /// @param name in the plural
  /// @param tokens tokens, or positions of a series, that one has
  record Unit(String name, long tokens) {
    public static final Unit TOKENS = new Unit("tokens", 1);

    public long count(long ofTokens) {
      return ofTokens / tokens;
    }
  }

  /// Tokens, or positions of a series, in the batch of a step.
  long tokensPerStep();

  /// Batches of one pass over the training data, whole or not.
  double stepsPerEpoch();

  /// Tokens or positions to train on in an epoch.
  long trainTokens();

  /// Tokens or positions to validate on.
  long validationTokens();

  /// Rows `[from, to)` of a batch, read but not yet computed.
  ///
  /// @param number of the batch, from 0, without end
  Part part(long number, int from, int to);

  /// A micro-batch: some sequences of a batch.
  interface Part {
    /// Predictions that the loss sums over; 0 is possible.
    long targets();

    /// Returns the origin of the sequences, for messages.
    String origin();

    /// The loss summed over the targets, on the tape: `()`, owned by the caller's scope. To be
    /// called once, if not [#backward] is.
    Tensor lossSum();

    /// Adds the gradients of a multiple of the summed loss. To be called once.
    default Pass backward(double factor) {
      long began = System.nanoTime();
      try (var _ = new PointerScope()) {
        Tensor share = lossSum().mul(new Scalar(factor));
        long forward = System.nanoTime();
        share.backward();
        double loss = share.item_double();
        return new Pass(loss, forward - began, System.nanoTime() - forward);
      }
    }
  }

  /// A forward and a backward pass that are over.
  ///
  /// @param loss times the factor
  /// @param forwardNanos time of the forward pass; 0 if the two cannot be told apart
  /// @param backwardNanos time of the rest
  record Pass(double loss, long forwardNanos, long backwardNanos) {}

  /// The loss on data that is not trained on. The sequences it reads may be shared among several
  /// processes: each passes its part and sums up.
  ///
  /// @param maxTokens read about so many; 0 for all
  /// @param stop asked before every batch; once it says yes, the sums are those of the batches
  ///   before
  Tally validate(long maxTokens, Shard share, BooleanSupplier stop);

  /// The same to its end.
  default Tally validate(long maxTokens, Shard share) {
    return validate(maxTokens, share, () -> false);
  }

  /// The same of the model stored in a folder, which also proves that it can be read.
  Tally validateStored(Path folder, long maxTokens, Shard share);

  /// Restricts the task to one process of several.
  ///
  /// @param index from 0
  /// @param of how many
  record Shard(int index, int of) {
    public static final Shard ALL = new Shard(0, 1);

    /// The first of this one's items, out of `count`.
    public int from(int count) {
      return (int) ((long) count * index / of);
    }

    /// One past the last of this one's items, out of `count`.
    public int to(int count) {
      return (int) ((long) count * (index + 1) / of);
    }
  }

  /// Sums that can be added up over processes before [#measure] makes a validation of them.
  ///
  /// @param sums such as nats and tokens
  record Tally(double... sums) {
    @Override
    public boolean equals(Object other) {
      return other instanceof Tally(double[] theirs) && java.util.Arrays.equals(sums, theirs);
    }

    @Override
    public int hashCode() {
      return java.util.Arrays.hashCode(sums);
    }
  }

  /// The means of the sums of all processes.
  Validation measure(Tally tally);

  /// Texts, or whatever a person can judge a model by; empty if there is nothing of the kind.
  ///
  /// @param over asked after every token; once it says yes the texts end
  List<Sample> samples(BooleanSupplier over);

  /// A prompt and what the model wrote after it.
  record Sample(String prompt, String text) {}

  /// The weights as they are stored in `model.safetensors`; valid as long as the caller's scope is
  /// open.
  List<TensorData> weights();

  /// Returns the other files of a checkpoint folder: contents by file name.
  SequencedMap<String, byte[]> modelFiles();

  /// Returns the tensors that a step passes to the next beside the weights, such as carried states;
  /// valid as long as the caller's scope is open. Empty if there is nothing of the kind.
  List<TensorData> carried();

  /// Takes it back.
  void restoreCarried(TensorSource source);

  /// Returns fingerprints that must be the same on a resume and in all processes of one run, by
  /// name.
  SequencedMap<String, String> fingerprints();

  @Override
  void close();
}
