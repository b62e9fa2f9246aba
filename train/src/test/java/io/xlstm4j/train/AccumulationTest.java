package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.parallel.SingleProcess;
import io.xlstm4j.train.task.Task;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Parts of a batch one after the other train as the whole batch does, every parameter of them.
///
/// Every gradient of the first step and every weight after the last one. Adam's epsilon is 1e-4: a
/// bias on the exponential input gate of the sLSTM cancels in c/n, so its true gradient is zero,
/// and with 1e-8 Adam would divide rounding by rounding and take whole steps of either sign.
class AccumulationTest {
  private static final double TOLERANCE = 1e-6;

  /// Of the largest number of a tensor. Float32 sums in another order; 1e-6 at most was seen, and
  /// another processor may cut its sums elsewhere.
  private static final double RELATIVE = 4e-6;

  private static final int STEPS = 10;

  @TempDir private Path folder;

  /// Short and long documents, so that rows of whole documents are filled to different lengths.
  private Path corpus() throws IOException {
    var random = new Random(5);
    var text = new StringBuilder();
    for (int i = 0; i < 300; i++) {
      text.append("ab ".repeat(random.nextInt(4) == 0 ? 12 : 7)).append(random.nextInt(100));
      text.append("\n<|endoftext|>\n");
    }
    return Files.writeString(folder.resolve("uneven.txt"), text);
  }

  /// A wave of which half the values are missing, in whole stretches.
  private Path series() throws IOException {
    var random = new Random(6);
    var lines = new ArrayList<>(List.of("level"));
    for (int t = 0; t < 200; t++) {
      boolean missing = t / 9 % 2 == 1 && random.nextInt(8) > 0;
      lines.add(missing ? "NaN" : "%.4f".formatted(5 + Math.sin(t / 3.0)));
    }
    return Files.write(folder.resolve("gaps.csv"), lines);
  }

  private RunConfig config(String kind, String... more) throws IOException {
    var keys = new ArrayList<>(List.of("optimizer.epsilon=1e-4", "training.steps=" + STEPS));
    keys.addAll(List.of(more));
    keys.add("training.batch_size=8");
    keys.add("checkpoints.every=" + STEPS);
    if (!kind.startsWith("series")) {
      keys.add("data.packing=" + (kind.endsWith("documents") ? "documents" : "stream"));
    }
    if (kind.startsWith("paper")) {
      keys.add("model.dropout=0");
      keys.add("model.context_length=40");
      keys.add("backend=" + (kind.contains("libtorch") ? "libtorch" : "fused"));
      return TinyRun.config(corpus(), keys.toArray(String[]::new));
    }
    keys.addAll(
        kind.startsWith("large")
            ? List.of(
                "data.corpus=" + corpus(),
                "data.tokenizer=bytes",
                "model.model_type=xlstm",
                "model.num_blocks=2",
                "model.embedding_dim=32",
                "model.num_heads=2",
                "model.context_length=40")
            : List.of(
                "model.model_type=xlstm_sequence",
                "model.num_blocks=2",
                "model.embedding_dim=16",
                "series.file=" + series(),
                "series.target_columns=[level]",
                "series.context=12",
                "series.horizon=3",
                "series.missing=mask"));
    ObjectNode said = RunConfigFile.parse("", "test");
    RunConfigFile.override(said, keys);
    return RunConfig.DEFAULT.with(said, "test");
  }

  /// The record of a run: the gradients of its first step, and its last weights.
  private record Outcome(Map<String, float[]> gradients, Map<String, float[]> weights) {}

  private Outcome train(RunConfig config, String out) {
    var gradients = new LinkedHashMap<String, float[]>();
    var listener =
        new SynchronousCallback() {
          @Override
          public void onStep(LiveRun run, Callback.Step step) {
            if (step.number() == 1) {
              try (var _ = new PointerScope()) {
                run.gradients().forEach(each -> gradients.put(each.name(), floats(each)));
              }
            }
          }
        };
    Path run = folder.resolve(out);
    try (var trainer = Trainer.start(config, run, new SingleProcess(), List.of(listener))) {
      assertThat(trainer.view().task().parameters().byName().keySet()).isNotEmpty();
      trainer.run(() -> false);
      assertThat(gradients.keySet())
          .containsExactlyInAnyOrderElementsOf(
              trainer.view().task().parameters().byName().keySet());
    }
    var weights = new LinkedHashMap<String, float[]>();
    try (var file = SafetensorsFile.open(run.resolve("training/model.safetensors"))) {
      file.tensors().keySet().forEach(name -> weights.put(name, file.floats(name)));
    }
    return new Outcome(gradients, weights);
  }

  private static float[] floats(TensorData tensor) {
    return tensor.data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(
      strings = {
        "paper, stream",
        "paper, documents",
        "paper on libtorch, documents",
        "large, documents",
        "series with gaps"
      })
  void four_parts_give_the_gradients_and_the_weights_of_the_whole(String kind) throws IOException {
    Outcome whole = train(config(kind), "whole");
    Outcome parts = train(config(kind, "training.gradient_accumulation_steps=4"), "parts");
    assertClose("gradient", parts.gradients(), whole.gradients());
    assertClose("weight", parts.weights(), whole.weights());
  }

  private static void assertClose(
      String what, Map<String, float[]> actual, Map<String, float[]> expected) {
    assertThat(actual.keySet()).isEqualTo(expected.keySet());
    expected.forEach((name, values) -> {
      double scale = 0;
      double apart = 0;
      for (int i = 0; i < values.length; i++) {
        scale = Math.max(scale, Math.abs(values[i]));
        apart = Math.max(apart, Math.abs(actual.getOrDefault(name, values)[i] - values[i]));
      }
      assertThat(scale).as("%s of %s", what, name).isPositive();
      assertThat(apart).as("%s of %s", what, name).isLessThan(TOLERANCE);
      assertThat(apart / scale).as("%s of %s, relative", what, name).isLessThan(RELATIVE);
    });
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"paper, documents", "series with gaps"})
  void the_parts_above_have_different_numbers_of_targets(String kind) throws IOException {
    try (var trainer = Trainer.start(config(kind), folder.resolve("run"))) {
      Task task = trainer.view().task();
      for (int step = 0; step < STEPS; step++) {
        var targets = new ArrayList<Long>();
        for (int from = 0; from < 8; from += 2) {
          targets.add(task.part(step, from, from + 2).targets());
        }
        // a mean of means would weigh the targets of the shortest part far more than the others
        assertThat(targets.stream().distinct().count()).as("%s", targets).isGreaterThan(1);
      }
    }
  }
}
