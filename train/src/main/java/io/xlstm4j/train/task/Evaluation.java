package io.xlstm4j.train.task;

import io.xlstm4j.text.Batch;
import io.xlstm4j.text.SequentialBatches;
import io.xlstm4j.text.Tokens;
import io.xlstm4j.torch.BlockStack;
import io.xlstm4j.torch.Scopes;
import io.xlstm4j.torch.XlstmLanguageModel;
import java.util.function.BooleanSupplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;

/// The loss of a model on a token file, read from its start to its end with the state carried on.
public final class Evaluation {
  private Evaluation() {}

  /// @param loss mean cross entropy in nats per token
  /// @param bitsPerByte loss in bits over the UTF-8 bytes of the documents; the end-of-text tokens
  ///   between them cost bits and count no bytes. Over a part of the file the bytes are estimated
  ///   from the tokens.
  /// @param tokens how many were predicted
  public record Result(double loss, double bitsPerByte, long tokens) {
    static Result of(Tokens file, double nats, double tokens) {
      double bytes = file.textBytes() * tokens / (file.size() - 1);
      return new Result(nats / tokens, nats / Math.log(2) / bytes, (long) tokens);
    }

    /// exp of the loss.
    public double perplexity() {
      return Math.exp(loss);
    }
  }

  /// @param rows lanes of the file read side by side
  /// @param length tokens of a lane at once
  /// @param maxTokens stop after about so many; 0 for all
  /// @param resetAtDocuments whether the state is reset at every document
  public static Result run(
      XlstmLanguageModel model,
      Tokens file,
      int rows,
      int length,
      long maxTokens,
      boolean resetAtDocuments) {
    Task.Tally tally =
        tally(model, file, rows, length, maxTokens, resetAtDocuments, Task.Shard.ALL, () -> false);
    return Result.of(file, tally.sums()[0], tally.sums()[1]);
  }

  /// The same over a share of the lanes.
  ///
  /// @param stop asked before every batch; ends the measurement
  /// @return summed cross entropy in nats, and predictions
  static Task.Tally tally(
      XlstmLanguageModel model,
      Tokens file,
      int rows,
      int length,
      long maxTokens,
      boolean resetAtDocuments,
      Task.Shard share,
      BooleanSupplier stop) {
    int from = share.from(rows);
    int to = share.to(rows);
    if (from == to) {
      return new Task.Tally(0, 0); // fewer lanes than processes
    }
    // the state is carried on, so windows beyond the end of a lane would only take memory
    int window = (int) Math.min(length, Math.ceilDiv(file.size(), rows) + 1);
    var batches = new SequentialBatches(file, rows, window);
    double nats = 0;
    long tokens = 0;
    long read = 0; // by all shares together, so that all of them end at the same place
    try (var _ = new PointerScope();
        var _ = new NoGradGuard();
        var carried = new Scopes.Holder<>(model.initialState(to - from))) {
      while (batches.hasNext() && (maxTokens == 0 || read < maxTokens) && !stop.getAsBoolean()) {
        Batch whole = batches.next();
        Batch batch = whole.slice(from, to);
        nats += advance(model, batch, carried, resetAtDocuments);
        tokens += batch.predictions();
        read += whole.predictions();
      }
    }
    return new Task.Tally(nats, tokens);
  }

  /// @return summed cross entropy in nats
  private static double advance(
      XlstmLanguageModel model,
      Batch batch,
      Scopes.Holder<BlockStack.State> carried,
      boolean resetAtDocuments) {
    try (var _ = new PointerScope()) {
      var tensors = BatchTensors.of(batch, resetAtDocuments);
      var loss =
          model.lossSum(tensors.inputs(), tensors.targets(), carried.get(), tensors.layout());
      carried.set(loss.state());
      return loss.value().item_double();
    }
  }
}
