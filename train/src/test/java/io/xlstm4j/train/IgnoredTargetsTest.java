package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.text.Batch;
import io.xlstm4j.torch.Backend;
import io.xlstm4j.torch.Losses;
import io.xlstm4j.torch.Parameters;
import io.xlstm4j.torch.SequenceLayout;
import io.xlstm4j.torch.SequenceModel;
import io.xlstm4j.torch.Tensors;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.XlstmLanguageModel;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.task.Task;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// A target that is ignored moves no gradient and does not count in a mean.
class IgnoredTargetsTest {
  private static final int ROWS = 2;
  private static final int LENGTH = 9;
  private static final int VOCAB = 23;

  @TempDir private Path folder;

  @Test
  void batches_and_losses_mean_the_same_by_ignored() {
    assertThat(Batch.IGNORED).isEqualTo(Losses.IGNORED).isEqualTo(-1);
  }

  private static Map<String, float[]> gradients(Parameters parameters, Tensor loss) {
    parameters.zeroGradients();
    loss.backward();
    var gradients = new LinkedHashMap<String, float[]>();
    parameters
        .byName()
        .forEach((name, parameter) -> {
          Tensor gradient = parameter.grad();
          gradients.put(
              name,
              gradient.defined() ? Tensors.floats(gradient) : new float[(int) parameter.numel()]);
        });
    return gradients;
  }

  /// Each to 1e-5 of the largest of a tensor: float32 sums in another order.
  private static void assertSum(
      Map<String, float[]> whole, Map<String, float[]> one, Map<String, float[]> other) {
    whole.forEach((name, values) -> {
      double scale = 1e-6;
      for (float value : values) {
        scale = Math.max(scale, Math.abs(value));
      }
      for (int i = 0; i < values.length; i++) {
        double sum = one.getOrDefault(name, values)[i] + other.getOrDefault(name, values)[i];
        assertThat(sum).as(name).isCloseTo(values[i], within(1e-5 * scale));
      }
    });
  }

  private static void assertZero(Map<String, float[]> gradients) {
    gradients.forEach((name, values) -> assertThat(values).as(name).containsOnly(0));
  }

  // ---- tokens

  static Stream<ModelConfig> models() {
    return Stream.of(
        PaperModelConfig.of(VOCAB, BlockStackConfig.of(2, 32, List.of(1))),
        LargeModelConfig.of(VOCAB, 32, 2, 2));
  }

  private static Tensor lossSum(XlstmLanguageModel model, int[] ids, int[] targets) {
    return model
        .lossSum(
            Tensors.of(ids, ROWS, LENGTH),
            Tensors.of(targets, ROWS, LENGTH),
            model.initialState(ROWS),
            SequenceLayout.FULL)
        .value();
  }

  @ParameterizedTest
  @MethodSource("models")
  void ignored_tokens_give_no_gradient_and_are_not_in_the_mean(ModelConfig config) {
    for (Backend backend : Backend.values()) {
      Torch.seed(1);
      var random = new Random(2);
      int[] ids = random.ints(ROWS * LENGTH, 0, VOCAB).toArray();
      int[] targets = random.ints(ROWS * LENGTH, 0, VOCAB).toArray();
      int[] even = targets.clone();
      int[] odd = targets.clone();
      for (int i = 0; i < targets.length; i++) {
        (i % 2 == 0 ? odd : even)[i] = Losses.IGNORED;
      }
      int[] none = new int[targets.length];
      Arrays.fill(none, Losses.IGNORED);
      try (var _ = new PointerScope();
          var model =
              new XlstmLanguageModel(
                  config,
                  Torch.device("cpu"),
                  org.bytedeco.pytorch.global.torch.ScalarType.Float)) {
        model.backend(backend);
        Parameters parameters = model.parameters();
        assertSum(
            gradients(parameters, lossSum(model, ids, targets)),
            gradients(parameters, lossSum(model, ids, even)),
            gradients(parameters, lossSum(model, ids, odd)));
        assertThat(lossSum(model, ids, none).item_double()).isZero();
        assertZero(gradients(parameters, lossSum(model, ids, none)));
        var mean =
            model.loss(
                Tensors.of(ids, ROWS, LENGTH),
                Tensors.of(even, ROWS, LENGTH),
                model.initialState(ROWS),
                SequenceLayout.FULL);
        assertThat(mean.value().item_double())
            .isCloseTo(lossSum(model, ids, even).item_double() / 9, within(1e-6)); // 9 of 18
      }
    }
  }

  // ---- series

  static Stream<SequenceLossConfig> losses() {
    return Stream.of(
        SequenceLossConfig.mse(),
        new SequenceLossConfig(SequenceLossConfig.Kind.MAE, List.of(), 0),
        new SequenceLossConfig(SequenceLossConfig.Kind.QUANTILE, List.of(0.1, 0.5, 0.9), 0),
        SequenceLossConfig.crossEntropy(3));
  }

  @ParameterizedTest
  @MethodSource("losses")
  void targets_that_are_nan_give_no_gradient_and_are_not_counted(SequenceLossConfig loss) {
    Torch.seed(1);
    var config =
        new SequenceModelConfig(
            1, 2, SequenceModelConfig.Pooling.EVERY, loss, BlockStackConfig.of(2, 16, List.of(1)));
    var random = new Random(3);
    int numbers = ROWS * LENGTH * 2;
    float[] x = new float[ROWS * LENGTH];
    float[] targets = new float[numbers];
    for (int i = 0; i < numbers; i++) {
      x[i % x.length] = (float) random.nextGaussian();
      targets[i] = random.nextInt(3); // a number or a class
    }
    float[] even = targets.clone();
    float[] odd = targets.clone();
    for (int i = 0; i < numbers; i++) {
      (i % 2 == 0 ? odd : even)[i] = Float.NaN;
    }
    float[] none = new float[numbers];
    Arrays.fill(none, Float.NaN);
    try (var _ = new PointerScope();
        var model = new SequenceModel(config)) {
      Parameters parameters = model.parameters();
      assertSum(
          gradients(parameters, loss(model, x, targets).sum()),
          gradients(parameters, loss(model, x, even).sum()),
          gradients(parameters, loss(model, x, odd).sum()));
      assertThat(loss(model, x, targets).targets()).isEqualTo(numbers);
      assertThat(loss(model, x, even).targets()).isEqualTo(numbers / 2);
      assertThat(loss(model, x, none).targets()).isZero();
      assertZero(gradients(parameters, loss(model, x, none).sum()));
    }
  }

  private static SequenceModel.Loss loss(SequenceModel model, float[] x, float[] targets) {
    return model.lossSum(
        Tensors.of(x, ROWS, LENGTH, 1), Tensors.of(targets, ROWS, LENGTH, 2), SequenceLayout.FULL);
  }

  // ---- a step

  /// A level that is always there, and one of which most values are missing.
  private RunConfig series() throws IOException {
    var lines = new ArrayList<>(List.of("level,rare"));
    for (int t = 0; t < 80; t++) {
      lines.add("%.3f,%s".formatted(Math.sin(t / 2.0), t % 5 == 0 ? "1.5" : ""));
    }
    ObjectNode keys = RunConfigFile.parse("", "test");
    RunConfigFile.override(
        keys,
        List.of(
            "model.model_type=xlstm_sequence",
            "model.num_blocks=1",
            "model.slstm_at=[]",
            "model.embedding_dim=16",
            "series.file=" + Files.write(folder.resolve("rare.csv"), lines),
            "series.target_columns=[rare]",
            "series.feature_columns=[level]",
            "series.context=6",
            "series.horizon=3",
            "series.missing=mask",
            "series.loss=mse",
            "series.scaling=none",
            "training.steps=1",
            "training.batch_size=16"));
    return RunConfig.DEFAULT.with(keys, "test");
  }

  @Test
  void the_loss_of_a_step_is_the_mean_over_the_targets_that_are_there() throws IOException {
    var losses = new ArrayList<Double>();
    var listener =
        new Callback() {
          @Override
          public void onStep(Run run, Step step) {
            losses.add(step.loss());
          }
        };
    try (var trainer = Trainer.start(series(), folder.resolve("run"), listener)) {
      Task task = trainer.view().task();
      Task.Part part = task.part(0, 0, 16);
      long there = part.targets();
      assertThat(there).isEqualTo(16); // of 48: a window with a target has one of three
      double sum;
      try (var _ = new PointerScope()) {
        sum = part.lossSum().item_double();
      }
      trainer.run(() -> false);
      assertThat(losses.getFirst()).isCloseTo(sum / there, within(1e-6));
    }
  }
}
