package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.LanguageModel.Prediction;
import io.xlstm4j.core.ModelState;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;

/// Long runs keep native memory flat.
class MemorySoakTest {
  private static final int WARM_UP = 200;
  private static final int ROUNDS = 800;

  /// Bytes per round. The smallest tensor takes some 900 with its bookkeeping, so one leaked per
  /// round is nine times the bound.
  private static final long BOUND = 100;

  private static XlstmLanguageModel model() {
    Torch.seed(1);
    return new XlstmLanguageModel(PaperModelConfig.of(64, BlockStackConfig.of(2, 64, List.of(1))));
  }

  /// Handles that Java holds on native objects must not grow by one, native bytes hardly.
  private static void assertFlat(Runnable round) {
    for (int i = 0; i < WARM_UP; i++) {
      round.run();
    }
    long before = NativeMemory.settled();
    long handles = Pointer.totalCount();
    long handleBytes = Pointer.totalBytes();
    for (int i = 0; i < ROUNDS; i++) {
      round.run();
    }
    long growth = NativeMemory.settled(handles) - before;
    assertThat(Pointer.totalCount()).as("handles").isLessThanOrEqualTo(handles);
    assertThat(Pointer.totalBytes()).as("bytes of handles").isLessThanOrEqualTo(handleBytes);
    assertThat(growth / ROUNDS).as("growth of native memory per round, in bytes").isLessThan(BOUND);
  }

  @Test
  void a_thousand_training_steps_leave_nothing_behind() {
    try (var _ = new PointerScope();
        var model = model()) {
      var draws = Draws.float64(1);
      Tensor tokens = Tensors.of(draws.ids(2 * 17, 64), 2, 17);
      Tensor inputs = tokens.narrow(1, 0, 16);
      Tensor targets = tokens.narrow(1, 1, 16);
      double[] losses = new double[2];
      assertFlat(() -> {
        double loss = trainStep(model, inputs, targets);
        losses[0] = losses[0] == 0 ? loss : losses[0];
        losses[1] = loss;
      });
      assertThat(losses[1]).as("loss of the last step").isLessThan(losses[0] / 2);
    }
  }

  private static double trainStep(XlstmLanguageModel model, Tensor inputs, Tensor targets) {
    try (var _ = new PointerScope()) {
      model.parameters().zeroGradients();
      Tensor loss = Losses.crossEntropy(model.forward(inputs), targets);
      loss.backward();
      try (var _ = new NoGradGuard()) {
        for (Tensor parameter : model.parameters().byName().values()) {
          parameter.sub_(Ops.times(parameter.grad(), 0.05));
        }
      }
      return loss.item_double();
    }
  }

  @Test
  void a_thousand_prefills_and_steps_leave_nothing_behind() {
    try (var model = model()) {
      int[] prompt = Draws.float64(2).ids(20, 64);
      ModelState start = model.initialState();
      assertFlat(() -> {
        Prediction prediction = model.prefill(prompt, start);
        var states = List.of(prediction.state(), start, prediction.state());
        assertThat(model.step(new int[] {1, 2, 3}, states)).hasSize(3);
      });
    }
  }
}
