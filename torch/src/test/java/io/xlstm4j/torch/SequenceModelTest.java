package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.core.config.SequenceModelConfig.Pooling;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SequenceModelTest {
  private static final int INPUTS = 3;

  private static SequenceModelConfig config(Pooling pooling, SequenceLossConfig loss) {
    return new SequenceModelConfig(
        INPUTS, 2, pooling, loss, BlockStackConfig.of(2, 16, List.of(1)));
  }

  private static SequenceModel model(Pooling pooling, SequenceLossConfig loss) {
    Torch.seed(5);
    return new SequenceModel(config(pooling, loss));
  }

  private static float[] gaussian(int seed, int count) {
    var random = new Random(seed);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  @ParameterizedTest
  @EnumSource(Pooling.class)
  void a_row_predicts_the_same_alone_and_beside_a_longer_one(Pooling pooling) {
    try (var model = model(pooling, SequenceLossConfig.quantiles(0.1, 0.5, 0.9))) {
      float[] shorter = gaussian(1, 4 * INPUTS);
      float[] longer = gaussian(2, 9 * INPUTS);
      List<float[]> together = model.predict(List.of(shorter, longer));
      assertThat(together.get(0))
          .hasSize(6 * (pooling == Pooling.EVERY ? 4 : 1))
          .containsExactly(model.predict(List.of(shorter)).getFirst(), within(1e-5f)); // sums over
      assertThat(together.get(1)) // batches of other sizes may be taken in another order
          .containsExactly(model.predict(List.of(longer)).getFirst(), within(1e-5f));
    }
  }

  @ParameterizedTest
  @EnumSource(Pooling.class)
  void padding_changes_neither_loss_nor_gradients_even_if_it_is_nan(Pooling pooling) {
    try (var model = model(pooling, SequenceLossConfig.mse())) {
      double zeros = lossAndGradient(model, 0);
      assertThat(lossAndGradient(model, Float.NaN)).isEqualTo(zeros).isFinite();
      assertThat(lossAndGradient(model, Float.POSITIVE_INFINITY)).isEqualTo(zeros);
    }
  }

  /// Loss plus the sum of all gradients, of rows of 3 and 5 positions.
  private static double lossAndGradient(SequenceModel model, float padding) {
    try (var _ = new PointerScope()) {
      model.parameters().zeroGradients();
      float[] x = gaussian(3, 2 * 5 * INPUTS);
      for (int i = 3 * INPUTS; i < 5 * INPUTS; i++) {
        x[i] = padding;
      }
      boolean every = model.config().pooling() == Pooling.EVERY;
      float[] targets = gaussian(4, every ? 2 * 5 * 2 : 2 * 2);
      SequenceLayout layout = SequenceLayout.ofLengths(Tensors.of(new int[] {3, 5}, 2), 5);
      Tensor wanted = every ? Tensors.of(targets, 2, 5, 2) : Tensors.of(targets, 2, 2);
      SequenceModel.Loss loss = model.lossSum(Tensors.of(x, 2, 5, INPUTS), wanted, layout);
      assertThat(loss.targets()).isEqualTo(every ? 16 : 4);
      loss.sum().backward();
      double sum = loss.sum().item_double();
      for (Tensor parameter : model.parameters().byName().values()) {
        sum += parameter.grad().abs().sum().item_double();
      }
      return sum;
    }
  }

  @Test
  void pooling_reads_the_last_and_the_mean_of_what_every_position_gives() {
    float[] row = gaussian(6, 5 * INPUTS);
    SequenceLossConfig mse = SequenceLossConfig.mse();
    try (var every = model(Pooling.EVERY, mse);
        var last = model(Pooling.LAST, mse);
        var mean = model(Pooling.MEAN, mse)) { // one seed, so the same weights; the head is linear
      List<float[]> rows = List.of(row, gaussian(7, 8 * INPUTS));
      float[] all = every.predict(rows).getFirst();
      float[] ends = {all[8], all[9]};
      float[] means = new float[2];
      for (int i = 0; i < 10; i++) {
        means[i % 2] += all[i] / 5;
      }
      assertThat(last.predict(rows).getFirst()).containsExactly(ends, within(1e-5f));
      assertThat(mean.predict(rows).getFirst()).containsExactly(means, within(1e-5f));
    }
  }

  @Test
  void losses_are_those_of_their_formulas_and_leave_out_what_is_nan() {
    float[] row = gaussian(8, 4 * INPUTS);
    assertThat(loss(SequenceLossConfig.mse(), row)).isEqualTo(1.5 * 1.5, within(1e-5));
    assertThat(loss(SequenceLossConfig.mae(), row)).isEqualTo(1.5, within(1e-5));
    assertThat(loss(SequenceLossConfig.quantiles(0.25, 0.5), row)) // above both: q times 1.5
        .isEqualTo((0.25 * 1.5 + 0.5 * 1.5) / 2, within(1e-5));
    assertThat(loss(SequenceLossConfig.crossEntropy(4), row))
        .isEqualTo(Math.log(4), within(1e-5)); // all logits 0
  }

  /// Of a model that predicts 0, where the targets are 1.5 (class 1) and none.
  private static double loss(SequenceLossConfig kind, float[] row) {
    try (var model = model(Pooling.LAST, kind);
        var _ = new PointerScope()) {
      Ops.present(model.parameters().byName().get("head.weight")).detach().zero_();
      float target = kind.kind() == SequenceLossConfig.Kind.CROSS_ENTROPY ? 1 : 1.5f;
      Tensor wanted = Tensors.of(new float[] {target, Float.NaN}, 1, 2);
      var loss = model.lossSum(Tensors.of(row, 1, 4, INPUTS), wanted, SequenceLayout.FULL);
      assertThat(loss.targets()).isEqualTo(1);
      loss.sum().backward();
      for (Tensor parameter : model.parameters().byName().values()) {
        assertThat(parameter.grad().abs().sum().item_double()).isFinite();
      }
      return loss.sum().item_double();
    }
  }

  @Test
  void our_kernels_and_libtorch_agree() {
    List<float[]> rows = List.of(gaussian(9, 6 * INPUTS), gaussian(10, 11 * INPUTS));
    try (var model = model(Pooling.LAST, SequenceLossConfig.crossEntropy(3))) {
      List<float[]> fused = model.predict(rows);
      model.backend(Backend.LIBTORCH);
      for (int row = 0; row < rows.size(); row++) {
        assertThat(model.predict(rows).get(row)).containsExactly(fused.get(row), within(1e-5f));
      }
      float[] of = fused.getFirst(); // probabilities
      assertThat(of[0] + of[1] + of[2]).isEqualTo(1, within(1e-5f));
    }
  }

  @Test
  void quantiles_come_out_in_rising_order() {
    try (var model = model(Pooling.LAST, SequenceLossConfig.quantiles(0.1, 0.5, 0.9))) {
      for (float[] of : model.predict(List.of(gaussian(11, 6), gaussian(12, 15)))) {
        assertThat(of[0]).isLessThanOrEqualTo(of[1]);
        assertThat(of[1]).isLessThanOrEqualTo(of[2]);
      }
    }
  }

  @Test
  void a_stored_model_is_the_same_when_it_is_read_again(@TempDir Path folder) {
    List<float[]> rows = List.of(gaussian(13, 6 * INPUTS));
    try (var model = model(Pooling.MEAN, SequenceLossConfig.quantiles(0.5))) {
      SequenceCheckpoint.save(model, folder);
      try (var again = SequenceCheckpoint.open(folder, Torch.device("cpu"))) {
        assertThat(again.config()).isEqualTo(model.config());
        assertThat(again.predict(rows).getFirst()).containsExactly(model.predict(rows).getFirst());
      }
    }
  }

  @Test
  void a_folder_whose_tensors_do_not_fit_is_refused_by_name(@TempDir Path folder) throws Exception {
    try (var model = model(Pooling.MEAN, SequenceLossConfig.mse())) {
      SequenceCheckpoint.save(model, folder);
    }
    SequenceModelConfig other = config(Pooling.MEAN, SequenceLossConfig.quantiles(0.1, 0.9));
    Files.writeString(folder.resolve("config.json"), SequenceConfigKeys.toJson(other));
    assertThatThrownBy(() -> SequenceCheckpoint.open(folder, Torch.device("cpu")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("head.weight has shape [2, 16]")
        .hasMessageContaining("[4, 16]");
    assertThatThrownBy(() -> Checkpoint.open(folder, Torch.device("cpu")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("model of series");
  }

  @Test
  void a_few_steps_learn_the_sign_of_a_sum() {
    var sizes =
        new SequenceModelConfig(
            1,
            1,
            Pooling.MEAN,
            SequenceLossConfig.crossEntropy(2),
            BlockStackConfig.of(1, 16, List.of()));
    Torch.seed(1);
    try (var model = new SequenceModel(sizes)) {
      double first = 0;
      double last = 0;
      for (int step = 0; step < 40; step++) {
        try (var _ = new PointerScope()) {
          float[] x = gaussian(step, 16 * 6);
          float[] y = new float[16];
          for (int i = 0; i < x.length; i++) {
            y[i / 6] += x[i];
          }
          for (int i = 0; i < y.length; i++) {
            y[i] = y[i] > 0 ? 1 : 0;
          }
          model.parameters().zeroGradients();
          var loss =
              model.lossSum(Tensors.of(x, 16, 6, 1), Tensors.of(y, 16, 1), SequenceLayout.FULL);
          loss.sum().backward();
          for (Tensor parameter : model.parameters().byName().values()) {
            parameter.detach().sub_(parameter.grad().mul(Ops.number(0.3 / 16)));
          }
          last = loss.sum().item_double() / 16;
          first = step == 0 ? last : first;
        }
      }
      assertThat(first).isGreaterThan(0.6); // ln 2 = 0.69
      assertThat(last).isLessThan(0.45);
    }
  }
}
