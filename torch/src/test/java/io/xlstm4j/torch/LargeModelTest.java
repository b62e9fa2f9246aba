package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.LanguageModel.Prediction;
import io.xlstm4j.core.ModelState;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The Large family against Hugging Face's library, and against itself in every other form.
class LargeModelTest {
  @TempDir private Path folder;

  /// A folder that `save_pretrained` of Hugging Face's library wrote.
  private static Path huggingFace() {
    try {
      return Path.of(LargeModelTest.class.getResource("/golden/hf_xlstm_tiny").toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  private static XlstmLanguageModel open(WeightMode mode, Backend backend) {
    try (var opened = ModelFolder.open(huggingFace())) {
      var config = ((LargeModelConfig) opened.config().model()).withWeightMode(mode);
      var model = Checkpoint.load(config, opened.tensors(mode), "fixture", Torch.device("cpu"));
      model.backend(backend);
      return model;
    }
  }

  static Stream<Form> modesAndBackends() {
    return Stream.of(WeightMode.values())
        .flatMap(mode -> Stream.of(Backend.values()).map(backend -> new Form(mode, backend)));
  }

  /// How the fixture is run.
  record Form(WeightMode mode, Backend backend) {}

  @ParameterizedTest
  @MethodSource("modesAndBackends")
  void a_whole_sequence_gives_the_logits_of_hugging_face(Form how) {
    try (var _ = new PointerScope();
        var golden = Golden.open("hf_xlstm_tiny_io");
        var model = open(how.mode, how.backend)) {
      Tensor ids = Tensors.of(golden.ints("ids"), golden.source().info("ids").shape());

      Golden.assertClose("logits", model.forward(ids), golden.doubles("logits"), 1e-4);
    }
  }

  @ParameterizedTest
  @MethodSource("modesAndBackends")
  void step_by_step_gives_them_too(Form how) {
    try (var _ = new PointerScope();
        var golden = Golden.open("hf_xlstm_tiny_io");
        var model = open(how.mode, how.backend)) {
      int[] ids = golden.ints("ids");
      int length = (int) golden.source().info("ids").shape()[1];
      Tensor expected = golden.doubles("logits"); // (2, S, V)
      List<ModelState> states = List.of(model.initialState(), model.initialState());
      for (int t = 0; t < length; t++) {
        List<Prediction> both = model.step(new int[] {ids[t], ids[length + t]}, states);
        for (int row = 0; row < 2; row++) {
          Tensor logits = Tensors.of(both.get(row).logits(), model.vocabSize());
          Golden.assertClose("at " + t, logits, expected.select(0, row).select(0, t), 1e-4);
        }
        states = both.stream().map(Prediction::state).toList();
      }
    }
  }

  @ParameterizedTest
  @MethodSource("modesAndBackends")
  void continues_a_prompt_as_hugging_face_does(Form how) {
    try (var golden = Golden.open("hf_xlstm_tiny_io");
        var model = open(how.mode, how.backend)) {
      int[] expected = golden.ints("greedy");
      int[] recurrent = Arrays.copyOf(expected, 16);
      int[] chunkwise = recurrent;

      Prediction next = model.prefill(recurrent, model.initialState());
      while (recurrent.length < expected.length) {
        int id = largest(next.logits());
        recurrent = with(recurrent, id);
        next = model.step(new int[] {id}, List.of(next.state())).getFirst();
        Prediction whole = model.prefill(chunkwise, model.initialState());
        chunkwise = with(chunkwise, largest(whole.logits()));
      }

      assertThat(recurrent).containsExactly(expected);
      assertThat(chunkwise).containsExactly(expected);
    }
  }

  private static Tensor parameter(XlstmLanguageModel model, String name) {
    return Objects.requireNonNull(model.parameters().byName().get(name), name);
  }

  private static int[] with(int[] ids, int next) {
    int[] longer = Arrays.copyOf(ids, ids.length + 1);
    longer[ids.length] = next;
    return longer;
  }

  private static int largest(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }

  @ParameterizedTest
  @ValueSource(strings = {"Float", "Double", "BFloat16", "Half"})
  void opens_the_folder_in_any_type(String typeName) {
    ScalarType type = ScalarType.valueOf(typeName);
    try (var _ = new PointerScope();
        var golden = Golden.open("hf_xlstm_tiny_io");
        var model = Checkpoint.open(huggingFace(), Torch.device("cpu"), type)) {
      Tensor ids = Tensors.of(golden.ints("ids"), golden.source().info("ids").shape());
      Tensor logits = model.forward(ids);

      assertThat(model.parameters().byName().values())
          .allMatch(parameter -> parameter.scalar_type().intern() == type);
      // 8 and 11 bits in every product of three blocks; the logits reach 5
      double tolerance = typeName.equals("BFloat16") ? 0.5 : typeName.equals("Half") ? 0.05 : 1e-4;
      Golden.assertClose("logits", logits, golden.doubles("logits"), tolerance);
    }
  }

  /// Wide heads of keys and narrow ones of values, biases, no last norm, tied: all that the
  /// released model is not.
  private static LargeModelConfig unusual(WeightMode mode) {
    return new LargeModelConfig(
        11, 24, 2, 2, true, 1.0, 0.5, 1.5, 8, 3.0, 5.0, false, 1e-5, true, 1e-6, 64, 32, mode, true,
        null, List.of(), null);
  }

  private static LargeModelConfig usual(WeightMode mode) {
    return LargeModelConfig.of(11, 32, 2, 2).withWeightMode(mode);
  }

  private static XlstmLanguageModel fresh(ModelConfig config) {
    Torch.seed(7);
    var model = new XlstmLanguageModel(config);
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var draws = new Draws(3, ScalarType.Float);
      for (Map.Entry<String, Tensor> parameter : model.parameters().byName().entrySet()) {
        if (parameter.getKey().endsWith("bias")) { // which starts at zero and would hide
          parameter.getValue().add_(draws.normal(0.2, Ops.shape(parameter.getValue())));
        }
      }
    }
    return model;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void both_backends_give_the_same_loss_and_gradients(boolean usual) {
    var config = usual ? usual(WeightMode.SINGLE) : unusual(WeightMode.FUSED);
    try (var _ = new PointerScope();
        var fused = fresh(config);
        var plain = fresh(config)) {
      plain.backend(Backend.LIBTORCH);
      var draws = new Draws(5, ScalarType.Float);
      Tensor ids = Tensors.of(draws.ids(3 * 67, 11), 3, 67);
      for (var model : List.of(fused, plain)) {
        Losses.crossEntropy(model.forward(ids), ids.roll(new long[] {1}, 1)).backward();
      }
      for (String name : fused.parameters().byName().keySet()) {
        Tensor actual = parameter(fused, name).grad();
        Tensor expected = parameter(plain, name).grad();
        Golden.assertCloseRelative(name, actual, expected, 1e-3);
      }
    }
  }

  @Test
  void a_seed_gives_the_same_model_in_both_weight_modes() {
    for (boolean usual : new boolean[] {true, false}) {
      try (var _ = new PointerScope()) {
        Torch.seed(1);
        var single =
            new XlstmLanguageModel(usual ? usual(WeightMode.SINGLE) : unusual(WeightMode.SINGLE));
        Torch.seed(1);
        var fused =
            new XlstmLanguageModel(usual ? usual(WeightMode.FUSED) : unusual(WeightMode.FUSED));
        try (single;
            fused) {
          Tensor ids = Tensors.of(new Draws(5, ScalarType.Float).ids(2 * 9, 11), 2, 9);

          Golden.assertClose("logits", fused.forward(ids), single.forward(ids), 1e-5);
          assertThat(fused.parameters().count()).isEqualTo(single.parameters().count());
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void what_was_saved_is_read_again_bit_for_bit(WeightMode mode) throws IOException {
    for (LargeModelConfig config : List.of(usual(mode), unusual(mode))) {
      try (var _ = new PointerScope();
          var model = fresh(config)) {
        Checkpoint.save(model, folder.resolve(Checkpoint.WEIGHTS));
        Files.writeString(
            folder.resolve(CheckpointConfig.FILE_NAME),
            new CheckpointConfig(config, null).toJson());
        try (var again = Checkpoint.open(folder, Torch.device("cpu"))) {
          assertThat(again.config()).isEqualTo(config);
          again
              .parameters()
              .byName()
              .forEach((name, value) ->
                  assertThat(Tensors.floats(value))
                      .as(name)
                      .containsExactly(Tensors.floats(parameter(model, name))));
        }
      }
    }
  }

  /// Hugging Face's library does not tie this class: it draws a head that is not there at random.
  @Test
  void the_head_of_a_tied_model_is_written_beside_the_embedding() {
    LargeModelConfig tied = unusual(WeightMode.SINGLE);
    assertThat(tied.tiesWeights()).isTrue();
    Path file = folder.resolve(Checkpoint.WEIGHTS);
    try (var _ = new PointerScope();
        var model = fresh(tied)) {
      Checkpoint.save(model, file);
    }
    try (var stored = SafetensorsFile.open(file)) {
      assertThat(stored.floats("lm_head.weight"))
          .containsExactly(stored.floats("backbone.embeddings.weight"));
    }
  }

  static List<ModelConfig> everyKindOfModel() {
    return List.of(
        usual(WeightMode.SINGLE),
        usual(WeightMode.FUSED),
        unusual(WeightMode.SINGLE),
        unusual(WeightMode.FUSED),
        LargeModelConfig.of(50304, 4096, 32, 8),
        PaperModelConfig.of(50304, BlockStackConfig.of(24, 768, List.of(3, 20))));
  }

  @ParameterizedTest
  @MethodSource("everyKindOfModel")
  void the_parameters_are_those_that_the_configuration_announces(ModelConfig config) {
    Torch.load();
    var nowhere = new Parameters(new Device("meta"), ScalarType.Float, Parameters.Start.EMPTY);
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(config, nowhere)) {
      Map<String, long[]> announced = ModelTensors.of(config);
      if (config.tiesWeights()) {
        announced.remove(ModelTensors.head());
      }

      assertThat(model.parameters().byName().keySet())
          .containsExactlyInAnyOrderElementsOf(announced.keySet());
      announced.forEach(
          (name, shape) -> assertThat(Ops.shape(parameter(model, name))).as(name).isEqualTo(shape));
      assertThat(model.parameters().count()).isEqualTo(ModelTensors.parameterCount(config));
    }
  }

  /// Spec section 11, item 9, in float32 on both backends.
  @ParameterizedTest
  @EnumSource
  void packed_documents_equal_separate_runs(Backend backend) {
    int[] lengths = {1, 63, 2, 70, 64};
    try (var _ = new PointerScope();
        var model = fresh(usual(WeightMode.SINGLE))) {
      model.backend(backend);
      int all = Arrays.stream(lengths).sum();
      Tensor ids = Tensors.of(new Draws(5, ScalarType.Float).ids(all, 11), 1, all);
      boolean[] starts = new boolean[all];
      for (int i = 0, at = 0; i < lengths.length; at += lengths[i++]) {
        starts[at] = true;
      }
      var layout = SequenceLayout.ofStarts(Tensors.of(starts, 1, all));
      Tensor packed = model.forward(ids, model.initialState(1), layout).logits();
      int at = 0;
      for (int length : lengths) {
        Tensor alone = model.forward(ids.narrow(1, at, length));
        Golden.assertClose(
            "document at " + at, packed.narrow(1, at, length), alone, 1e-6 * 10); // logits to 10
        at += length;
      }
    }
  }

  /// docs/math.md 4.
  @ParameterizedTest
  @EnumSource
  void parameters_start_by_the_recipe_of_the_released_model(WeightMode mode) {
    int dim = 128;
    double small = Math.sqrt(2.0 / (5 * dim));
    double wang = 2.0 / 3 / Math.sqrt(dim);
    String layer = "backbone.blocks.1.mlstm_layer.";
    String ffn = "backbone.blocks.1.ffn.";
    Torch.seed(4);
    try (var _ = new PointerScope();
        var model =
            new XlstmLanguageModel(LargeModelConfig.of(300, dim, 3, 4).withWeightMode(mode))) {
      assertSpread(parameter(model, "backbone.embeddings.weight"), small);
      assertSpread(parameter(model, "lm_head.weight"), small);
      assertSpread(parameter(model, layer + "out_proj.weight"), wang);
      assertSpread(parameter(model, ffn + "proj_down.weight"), wang);
      for (String norm : List.of("blocks.1.norm_mlstm", "blocks.1.norm_ffn", "out_norm")) {
        assertThat(Tensors.floats(parameter(model, "backbone." + norm + ".weight")))
            .containsOnly(1);
      }
      assertThat(Tensors.floats(parameter(model, layer + "multihead_norm.weight"))).containsOnly(1);
      if (mode == WeightMode.SINGLE) {
        for (String name : List.of("q", "k", "v")) {
          assertSpread(parameter(model, layer + name + ".weight"), small);
        }
        for (String gate : List.of("ogate", "igate", "fgate")) {
          assertThat(Tensors.floats(parameter(model, layer + gate + "_preact.weight")))
              .containsOnly(0);
        }
        assertThat(Tensors.floats(parameter(model, layer + "igate_preact.bias"))).containsOnly(-10);
        assertThat(Tensors.floats(parameter(model, layer + "fgate_preact.bias")))
            .containsExactly(3, 4, 5, 6);
        assertSpread(parameter(model, ffn + "proj_up_gate.weight"), small);
        assertSpread(parameter(model, ffn + "proj_up.weight"), small);
      } else {
        Tensor qkvo = parameter(model, layer + "qkv_opreact.weight"); // 64 + 64 + 128 + 128 rows
        assertSpread(qkvo.narrow(0, 0, 256), small);
        assertThat(Tensors.floats(qkvo.narrow(0, 256, 128))).containsOnly(0);
        assertThat(Tensors.floats(parameter(model, layer + "ifgate_preact.weight")))
            .containsOnly(0);
        assertThat(Tensors.floats(parameter(model, layer + "ifgate_preact.bias")))
            .containsExactly(-10, -10, -10, -10, 3, 4, 5, 6);
        assertSpread(parameter(model, ffn + "proj_up_gate_z.weight"), small);
      }
    }
  }

  /// Mean and standard deviation of a normal distribution, within five sampling errors.
  private static void assertSpread(Tensor drawn, double std) {
    double[] values = Tensors.doubles(drawn);
    double n = values.length;
    double mean = Arrays.stream(values).average().orElseThrow();
    double square = Arrays.stream(values).map(x -> x * x).average().orElseThrow();
    assertThat(mean).isCloseTo(0, within(5 * std / Math.sqrt(n)));
    assertThat(Math.sqrt(square)).isCloseTo(std, within(5 * std / Math.sqrt(2 * n)));
  }

  @Test
  void weight_decay_spares_norms_biases_and_the_embedding() {
    try (var model = new XlstmLanguageModel(unusual(WeightMode.SINGLE))) {
      assertThat(model.parameters().byName().keySet().stream().filter(model::decays))
          .allMatch(name -> name.endsWith(".weight") && !name.contains("norm"))
          .doesNotContain("backbone.embeddings.weight")
          .contains("backbone.blocks.1.mlstm_layer.igate_preact.weight")
          .hasSize(2 * 10); // q, k, v, o, out, the two gates, three of the feed-forward
    }
    try (var model = new XlstmLanguageModel(usual(WeightMode.SINGLE))) {
      assertThat(model.decays("lm_head.weight")).isTrue();
    }
  }
}
