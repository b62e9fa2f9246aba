package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.Generator;
import io.xlstm4j.core.LanguageModel;
import io.xlstm4j.core.ModelState;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.runtime.RuntimeModel;
import io.xlstm4j.runtime.Sequence;
import io.xlstm4j.torch.Checkpoint;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.XlstmLanguageModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// The two hosts of a model give the same numbers from one checkpoint.
class HostParityTest {
  private static final double TOLERANCE = 1e-4;

  @TempDir private Path folder;

  static Stream<ModelConfig> models() {
    return Stream.of(
        PaperModelConfig.of(61, BlockStackConfig.of(3, 48, List.of(1))),
        PaperModelConfig.of(40, BlockStackConfig.of(2, 64, List.of(0, 1))),
        LargeModelConfig.of(70, 64, 2, 2),
        LargeModelConfig.of(70, 64, 2, 4).withWeightMode(LargeModelConfig.WeightMode.FUSED),
        everyKeyOfLarge(LargeModelConfig.WeightMode.SINGLE),
        everyKeyOfLarge(LargeModelConfig.WeightMode.FUSED));
  }

  /// Every key that changes the function at another value than the released model's.
  private static LargeModelConfig everyKeyOfLarge(LargeModelConfig.WeightMode mode) {
    return new LargeModelConfig(
        70, 48, 2, 2, true, 0.75, 0.5, 1.5, 8, 3, 5, false, 1e-4, true, 1e-6, 64, 32, mode, true,
        null, List.of(), null);
  }

  @ParameterizedTest
  @MethodSource("models")
  void logits_states_and_greedy_texts_agree(ModelConfig config) throws IOException {
    Torch.seed(3);
    try (var fresh =
        new XlstmLanguageModel(
            config, Torch.device("cpu"), org.bytedeco.pytorch.global.torch.ScalarType.Float)) {
      Checkpoint.save(fresh, folder.resolve("model.safetensors"));
    }
    Files.writeString(folder.resolve("config.json"), new CheckpointConfig(config, null).toJson());
    try (var torch = Checkpoint.open(folder, Torch.device("cpu"));
        var runtime = RuntimeModel.open(folder)) {
      int[] ids = new Random(1).ints(90, 0, config.vocabSize()).toArray();
      var expected = torch.prefill(ids, torch.initialState());
      var actual = runtime.prefill(ids, runtime.initialState());
      assertClose("prefill", actual.logits(), expected.logits());
      assertClose(actual.state(), expected.state());
      // a state of one host goes on in the other
      var next = torch.step(new int[] {5}, List.of(expected.state())).getFirst();
      try (Sequence row = runtime.newSequence()) {
        row.load(expected.state());
        runtime.step(new int[] {5}, row);
        assertClose("step", row.logits(), next.logits());
        assertClose(row.snapshot(), next.state());
      }
      assertThat(greedy(runtime)).isEqualTo(greedy(torch));
    }
  }

  private static List<Integer> greedy(LanguageModel model) {
    var tokens = new ArrayList<Integer>();
    var options = new Generator.Options(40, model.vocabSize(), -1, SamplerConfig.GREEDY);
    new Generator(model, options).generate(List.of(new int[] {1, 2, 3}), (_, id) -> tokens.add(id));
    assertThat(tokens).hasSize(40);
    return tokens;
  }

  private static void assertClose(ModelState actual, ModelState expected) {
    assertThat(actual.position()).isEqualTo(expected.position());
    assertThat(actual.parts().keySet()).isEqualTo(expected.parts().keySet());
    for (String name : expected.parts().keySet()) {
      assertThat(actual.part(name).shape()).as(name).isEqualTo(expected.part(name).shape());
      assertClose(name, actual.part(name).values(), expected.part(name).values());
    }
  }

  private static void assertClose(String what, float[] actual, float[] expected) {
    for (int i = 0; i < expected.length; i++) {
      double scale = Math.max(1, Math.abs(expected[i]));
      if (!(Math.abs(actual[i] - expected[i]) <= TOLERANCE * scale)) {
        assertThat(actual[i]).as("%s[%d]", what, i).isEqualTo(expected[i]);
      }
    }
  }
}
