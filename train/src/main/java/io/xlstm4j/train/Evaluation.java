package io.xlstm4j.train;

import io.xlstm4j.text.Batch;
import io.xlstm4j.text.SequentialBatches;
import io.xlstm4j.text.TokenFile;
import io.xlstm4j.torch.BlockStack;
import io.xlstm4j.torch.Scopes;
import io.xlstm4j.torch.XlstmLanguageModel;
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
    /// exp of the loss.
    public double perplexity() {
      return Math.exp(loss);
    }
  }

  /// @param rows lanes of the file read side by side
  /// @param length tokens of a lane at once
  /// @param maxTokens stop after about so many; 0 for all
  /// @param resetAtDocuments whether every document starts from a fresh state
  public static Result run(
      XlstmLanguageModel model,
      TokenFile file,
      int rows,
      int length,
      long maxTokens,
      boolean resetAtDocuments) {
    var batches = new SequentialBatches(file, rows, length);
    double nats = 0;
    long tokens = 0;
    try (var _ = new PointerScope();
        var _ = new NoGradGuard();
        var carried = new Scopes.Holder<>(model.initialState(rows))) {
      while (batches.hasNext() && (maxTokens == 0 || tokens < maxTokens)) {
        Batch batch = batches.next();
        nats += advance(model, batch, carried, resetAtDocuments);
        for (int target : batch.targets()) {
          tokens += target == Batch.IGNORED ? 0 : 1;
        }
      }
    }
    long predictable = file.size() - 1;
    double bytes = (double) file.textBytes() * tokens / predictable;
    return new Result(nats / tokens, nats / Math.log(2) / bytes, tokens);
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
