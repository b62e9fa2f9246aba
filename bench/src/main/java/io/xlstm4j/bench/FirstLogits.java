package io.xlstm4j.bench;

import io.xlstm4j.runtime.RuntimeModel;
import io.xlstm4j.runtime.Sequence;
import java.nio.file.Path;
import java.util.Arrays;

/// The program that [Startup] starts.
final class FirstLogits {
  private static final int PROMPT = 8;

  private FirstLogits() {}

  /// @param args the checkpoint folder
  public static void main(String[] args) {
    try (var model = RuntimeModel.open(Path.of(args[0]));
        Sequence row = model.newSequence()) {
      var ids = new int[PROMPT];
      Arrays.fill(ids, 1);
      model.prefill(row, ids);
      if (!Float.isFinite(row.logits()[0])) {
        throw new IllegalStateException("the first logit is " + row.logits()[0]);
      }
    }
  }
}
