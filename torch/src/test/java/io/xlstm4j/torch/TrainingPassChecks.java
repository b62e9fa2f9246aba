package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// Compares recorded training passes with passes that are not recorded, on the same GPU: losses,
/// gradients and states must have the same bits. Run by hand on a machine with a GPU; see
/// docs/gpu.md.
final class TrainingPassChecks {
  private static final int BATCH = 4;
  private static final int LENGTH = 96;
  private static final int VOCAB = 300;
  private static final int STEPS = 5;

  private TrainingPassChecks() {}

  /// @param arguments none
  public static void main(String[] arguments) {
    int wrong = 0;
    for (Precision precision : Precision.values()) {
      for (boolean large : new boolean[] {false, true}) {
        for (boolean documents : new boolean[] {false, true}) {
          for (boolean carries : new boolean[] {false, true}) {
            wrong += isRight(precision, large, documents, carries) ? 0 : 1;
          }
        }
      }
    }
    System.out.println(wrong == 0 ? "all right" : wrong + " wrong");
    if (wrong > 0) {
      System.exit(1);
    }
  }

  private static boolean isRight(
      Precision precision, boolean large, boolean documents, boolean carries) {
    Torch.load();
    Torch.seed(1);
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(config(large), Torch.device("cuda"), ScalarType.Float);
        var recorded = new TrainingPass(model)) {
      model.precision(precision);
      model.training(true);
      var dice = new Random(2);
      BlockStack.@Nullable State last = carries ? model.initialState(BATCH) : null;
      String difference = "";
      boolean wasRecorded = false;
      for (int step = 0; step < STEPS && difference.isEmpty(); step++) {
        Tensor[] tokens = {ids(dice), ids(dice), ids(dice), ids(dice)};
        SequenceLayout layout =
            documents ? SequenceLayout.ofStarts(starts(dice)) : SequenceLayout.FULL;
        List<Tensor> exact = new ArrayList<>();
        var unrecorded = new TrainingPass(model); // its first pass
        model.parameters().zeroGradients();
        BlockStack.@Nullable State next = step(unrecorded, tokens, last, layout, carries, exact);
        exact.addAll(gradients(model));
        List<Tensor> ours = new ArrayList<>();
        model.parameters().zeroGradients();
        step(recorded, tokens, last, layout, carries, ours);
        wasRecorded |= recorded.recorded() > 0;
        ours.addAll(gradients(model));
        for (int i = 0; i < exact.size() && difference.isEmpty(); i++) {
          if (!exact.get(i).equal(ours.get(i))) {
            difference =
                String.format(
                    Locale.ROOT,
                    "step %d, tensor %d of %d by %.1e",
                    step,
                    i,
                    exact.size(),
                    exact.get(i).sub(ours.get(i)).abs().max().item_double());
          }
        }
        last = next;
      }
      boolean right = difference.isEmpty() && wasRecorded;
      System.out.printf(
          "%s %s %s%s%s: %s%n",
          right ? "right" : "WRONG",
          large ? "large" : "paper",
          precision,
          documents ? ", documents" : "",
          carries ? ", carried state" : "",
          wasRecorded ? difference : "nothing was recorded");
      return right;
    }
  }

  /// Two micro-batches.
  private static BlockStack.@Nullable State step(
      TrainingPass pass,
      Tensor[] tokens,
      BlockStack.@Nullable State last,
      SequenceLayout layout,
      boolean carries,
      List<Tensor> results) {
    BlockStack.@Nullable State next = null;
    for (int i = 0; i < 2; i++) {
      TrainingPass.Result result =
          pass.run(tokens[2 * i], tokens[2 * i + 1], last, layout, 0.01, carries);
      results.add(Tensors.of(new float[] {(float) result.loss()}, 1));
      next = result.state();
      if (next != null) {
        results.addAll(next.tensors());
      }
    }
    return next;
  }

  private static List<Tensor> gradients(XlstmLanguageModel model) {
    return model.parameters().byName().values().stream()
        .map(Tensor::grad)
        .filter(Tensor::defined)
        .map(gradient -> gradient.mul(new Scalar(1.0)))
        .toList();
  }

  private static Tensor ids(Random dice) {
    return Tensors.of(dice.ints((long) BATCH * LENGTH, 0, VOCAB).toArray(), BATCH, LENGTH);
  }

  private static Tensor starts(Random dice) {
    boolean[] starts = new boolean[BATCH * LENGTH];
    for (int i = 0; i < starts.length; i++) {
      starts[i] = dice.nextInt(20) == 0;
    }
    return Tensors.of(starts, BATCH, LENGTH);
  }

  private static ModelConfig config(boolean large) {
    if (large) {
      return LargeModelConfig.of(VOCAB, 128, 2, 4);
    }
    return PaperModelConfig.of(
        VOCAB,
        new BlockStackConfig(
            3,
            64,
            LENGTH,
            List.of(1),
            new MlstmBlockConfig(MlstmLayerConfig.DEFAULT),
            new SlstmBlockConfig(SlstmLayerConfig.DEFAULT, FeedForwardConfig.DEFAULT),
            true,
            false,
            0));
  }
}
