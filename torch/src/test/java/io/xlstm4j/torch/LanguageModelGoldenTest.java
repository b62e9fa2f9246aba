package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/// Whole language models in float32 against the official implementation.
class LanguageModelGoldenTest {
  @TempDir private Path folder;

  /// The fixtures with the configurations they were made with.
  enum Fixture {
    PAPER_LM_7TO1(96, 4, 64, List.of(1), 4, false, false),
    PAPER_LM_BIAS_TIED(50, 2, 32, List.of(0), 2, true, true),
    PAPER_LM_SLSTM_ONLY(40, 2, 64, List.of(0, 1), 4, false, false);

    final PaperModelConfig config;

    Fixture(
        int vocab,
        int blocks,
        int dim,
        List<Integer> slstmAt,
        int heads,
        boolean bias,
        boolean tied) {
      config =
          new PaperModelConfig(
              vocab,
              new BlockStackConfig(
                  blocks,
                  dim,
                  64,
                  slstmAt,
                  new MlstmBlockConfig(MlstmLayerConfig.DEFAULT.withNumHeads(heads)),
                  new SlstmBlockConfig(
                      SlstmLayerConfig.DEFAULT
                          .withNumHeads(heads)
                          .withBackend(SlstmLayerConfig.Backend.VANILLA),
                      FeedForwardConfig.DEFAULT),
                  true,
                  bias,
                  0.0),
              tied,
              false,
              false);
    }

    Golden open() {
      return Golden.open(name().toLowerCase(Locale.ROOT));
    }

    /// The official state dict as a file of its own.
    SafetensorsFile stateDict(Golden golden, Path folder) {
      var tensors = new ArrayList<TensorData>();
      for (String name : golden.source().tensors().keySet()) {
        if (name.startsWith("param.")) {
          var info = golden.source().info(name);
          tensors.add(
              new TensorData(
                  name.substring("param.".length()),
                  info.dtype(),
                  info.shape(),
                  golden.source().data(name)));
        }
      }
      Path file = folder.resolve("state_dict.safetensors");
      SafetensorsWriter.write(file, tensors, Map.of());
      return SafetensorsFile.open(file);
    }
  }

  static Stream<Arguments> fixturesWithBackends() {
    return Stream.of(Fixture.values())
        .flatMap(f -> Stream.of(Backend.values()).map(backend -> Arguments.of(f, backend)));
  }

  @ParameterizedTest
  @MethodSource("fixturesWithBackends")
  void logits_loss_and_every_gradient_equal_the_official_model(Fixture fixture, Backend backend) {
    try (var _ = new PointerScope();
        var golden = fixture.open();
        var stateDict = fixture.stateDict(golden, folder);
        var model = Checkpoint.load(fixture.config, stateDict, "fixture", Torch.device("cpu"))) {
      model.backend(backend);
      long[] shape = golden.source().info("ids").shape();
      Tensor ids = Tensors.of(golden.ints("ids"), shape);
      Tensor inputs = ids.narrow(1, 0, shape[1] - 1);
      Tensor targets = ids.narrow(1, 1, shape[1] - 1);

      Tensor logits = model.forward(inputs);
      Tensor loss = Losses.crossEntropy(logits, targets);
      loss.backward();

      Golden.assertClose("logits", logits, golden.doubles("logits"), 1e-4);
      assertThat(loss.item_double()).isCloseTo(golden.source().doubles("loss")[0], within(1e-5));
      for (Map.Entry<String, Tensor> parameter : model.parameters().byName().entrySet()) {
        String name = parameter.getKey();
        Tensor expected = Checkpoint.inMemory(name, golden.doubles("grad." + name), stateDict);
        Golden.assertCloseRelative(name, parameter.getValue().grad(), expected, 1e-3);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("fixturesWithBackends")
  void step_by_step_gives_the_official_logits_too(Fixture fixture, Backend backend) {
    try (var _ = new PointerScope();
        var golden = fixture.open();
        var stateDict = fixture.stateDict(golden, folder);
        var model = Checkpoint.load(fixture.config, stateDict, "fixture", Torch.device("cpu"))) {
      model.backend(backend);
      int[] row =
          IntStream.of(golden.ints("ids")).limit(golden.source().info("ids").shape()[1]).toArray();
      Tensor expected = golden.doubles("logits").select(0, 0); // (S, V)

      var state = model.initialState();
      for (int t = 0; t < expected.size(0); t++) {
        var prediction = model.step(new int[] {row[t]}, List.of(state)).getFirst();
        Tensor logits = Tensors.of(prediction.logits(), fixture.config.vocabSize());
        Golden.assertClose("logits at " + t, logits, expected.select(0, t), 1e-4);
        state = prediction.state();
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void what_was_loaded_is_saved_again_bit_for_bit(Fixture fixture) {
    Path file = folder.resolve("saved.safetensors");
    try (var golden = fixture.open();
        var stateDict = fixture.stateDict(golden, folder);
        var model = Checkpoint.load(fixture.config, stateDict, "fixture", Torch.device("cpu"))) {
      Checkpoint.save(model, file);
      try (var saved = SafetensorsFile.open(file)) {
        assertThat(saved.tensors().keySet())
            .containsExactlyInAnyOrderElementsOf(stateDict.tensors().keySet());
        for (String name : saved.tensors().keySet()) {
          assertThat(saved.info(name).shape()).as(name).isEqualTo(stateDict.info(name).shape());
          assertThat(saved.floats(name)).as(name).containsExactly(stateDict.floats(name));
        }
      }
    }
  }
}
