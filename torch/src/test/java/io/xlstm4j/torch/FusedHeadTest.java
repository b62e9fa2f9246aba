package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The loss that never holds all logits, against cross entropy over the logits.
class FusedHeadTest {
  private static final int VOCAB = 37;

  private static XlstmLanguageModel model(boolean tied) {
    Torch.seed(1);
    return new XlstmLanguageModel(
        new PaperModelConfig(VOCAB, BlockStackConfig.of(2, 32, List.of(1)), tied, false, false));
  }

  private static Tensor ids(int seed, int least) {
    return Tensors.of(new java.util.Random(seed).ints(3 * 11, least, VOCAB).toArray(), 3, 11);
  }

  @ParameterizedTest(name = "tied {0}")
  @ValueSource(booleans = {false, true})
  void loss_and_gradients_are_those_over_the_logits(boolean tied) {
    try (var _ = new PointerScope();
        var a = model(tied);
        var b = model(tied)) {
      Tensor inputs = ids(1, 0);
      Tensor targets = ids(2, -1); // some ignored
      var fused = a.loss(inputs, targets, a.initialState(3), SequenceLayout.FULL);
      Tensor libtorch = Losses.crossEntropy(b.forward(inputs), targets);
      assertThat(fused.value().item_double()).isCloseTo(libtorch.item_double(), within(1e-5));
      Ops.times(fused.value(), 3).backward(); // an upstream gradient that is not one
      Ops.times(libtorch, 3).backward();
      for (Map.Entry<String, Tensor> parameter : b.parameters().byName().entrySet()) {
        Golden.assertCloseRelative(
            parameter.getKey(),
            Ops.present(a.parameters().byName().get(parameter.getKey())).grad(),
            parameter.getValue().grad(),
            1e-4);
      }
    }
  }

  @Test
  void the_sum_without_a_graph_is_the_mean_times_the_targets_that_count() {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard();
        var model = model(false)) {
      Tensor inputs = ids(1, 0);
      Tensor targets = ids(2, -1);
      long counted = targets.ge(Ops.number(0)).sum().item_long();
      double mean =
          model
              .loss(inputs, targets, model.initialState(3), SequenceLayout.FULL)
              .value()
              .item_double();
      double sum =
          model
              .lossSum(inputs, targets, model.initialState(3), SequenceLayout.FULL)
              .value()
              .item_double();
      assertThat(counted).isLessThan(33);
      assertThat(sum).isCloseTo(mean * counted, within(1e-3));
    }
  }

  @Test
  void both_backends_give_one_loss() {
    try (var _ = new PointerScope();
        var model = model(false)) {
      double fused =
          model
              .loss(ids(1, 0), ids(2, 0), model.initialState(3), SequenceLayout.FULL)
              .value()
              .item_double();
      model.backend(Backend.LIBTORCH);
      double libtorch =
          model
              .loss(ids(1, 0), ids(2, 0), model.initialState(3), SequenceLayout.FULL)
              .value()
              .item_double();
      assertThat(fused).isCloseTo(libtorch, within(1e-5));
    }
  }

  @Test
  void targets_of_another_shape_are_refused_naming_both() {
    try (var _ = new PointerScope();
        var model = model(false)) {
      Tensor targets = Tensors.of(new int[4], 2, 2);
      assertThatThrownBy(
              () -> model.loss(ids(1, 0), targets, model.initialState(3), SequenceLayout.FULL))
          .hasMessage("targets must have shape (B, S) = [3, 11], but has [2, 2]");
    }
  }
}
