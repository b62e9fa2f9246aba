package io.xlstm4j.core.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.TensorData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Folders of other programs that are not quite like the released model's.
class OtherFoldersTest {
  private static final LargeModelConfig CONFIG = LargeModelConfig.of(9, 16, 2, 2);

  @TempDir private Path folder;

  private static TensorData renamed(TensorData tensor, String name) {
    return new TensorData(name, tensor.dtype(), tensor.shape(), tensor.data());
  }

  private Path base(boolean head, boolean tied) throws IOException {
    var tensors = new ArrayList<TensorData>();
    for (TensorData tensor : Folders.tensors(CONFIG, 1, DType.F32)) {
      if (head || !tensor.name().equals("lm_head.weight")) {
        tensors.add(renamed(tensor, tensor.name().replaceFirst("^backbone\\.", "")));
      }
    }
    Folders.write(folder, CONFIG, tensors);
    Path config = folder.resolve("config.json");
    Files.writeString(
        config,
        Files.readString(config)
            .replace("ForCausalLM", "Model")
            .replace("\"tie_word_embeddings\" : false", "\"tie_word_embeddings\" : " + tied));
    return folder;
  }

  @Test
  void the_last_norm_of_a_folder_of_hugging_face_has_no_bias_whatever_use_bias_says()
      throws IOException {
    LargeModelConfig biased = CONFIG.withUseBias(true);
    List<TensorData> tensors = new ArrayList<>(Folders.tensors(biased, 1, DType.F32));
    tensors.removeIf(tensor -> tensor.name().equals("backbone.out_norm.bias"));
    Folders.write(folder, biased, tensors);
    try (var opened = ModelFolder.open(folder)) {
      assertThat(opened.tensors().floats("backbone.out_norm.bias")).containsExactly(new float[16]);
      assertThat(opened.tensors().floats("backbone.blocks.0.norm_ffn.bias"))
          .isNotEqualTo(new float[16]);
    }
  }

  @Test
  void the_official_code_has_a_bias_in_its_last_norm_if_use_bias_is_true() throws IOException {
    LargeModelConfig biased = CONFIG.withUseBias(true);
    Folders.write(folder, biased, Folders.tensors(biased, 1, DType.F32));
    Path official = folder.resolveSibling(folder.getFileName() + "-official");
    try (var opened = ModelFolder.open(folder)) {
      CheckpointConverter.write(
          opened,
          official,
          new CheckpointConverter.Target(ModelFolder.Layout.OFFICIAL, null, null, null, 1L << 30));
      try (var again = ModelFolder.open(official)) {
        assertThat(again.tensors().floats("backbone.out_norm.bias"))
            .containsExactly(opened.tensors().floats("backbone.out_norm.bias"));
      }
    }
  }

  @Test
  void a_base_model_without_a_head_is_refused_by_name() throws IOException {
    Path path = base(false, false);
    assertThatThrownBy(() -> ModelFolder.open(path))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("lm_head.weight is missing")
        .hasMessageContaining("base model (architectures xLSTMModel)");
  }

  @Test
  void a_base_model_with_a_head_or_a_tied_one_opens_under_the_usual_names() throws IOException {
    for (boolean tied : new boolean[] {false, true}) {
      try (var opened = ModelFolder.open(base(!tied, tied))) {
        assertThat(opened.tensors().tensors())
            .containsKeys("backbone.embeddings.weight", "backbone.blocks.1.ffn.proj_down.weight");
        assertThat(opened.tensors().floats("backbone.out_norm.weight"))
            .containsExactly(opened.stored().floats("out_norm.weight"));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void a_config_yaml_is_read_in_the_weight_mode_that_is_stored(boolean stacked) throws IOException {
    WeightMode mode = stacked ? WeightMode.FUSED : WeightMode.SINGLE;
    LargeModelConfig config = CONFIG.withWeightMode(mode);
    Folders.write(folder, config, Folders.tensors(config, 1, DType.F32));
    Files.delete(folder.resolve("config.json"));
    Files.writeString(
        folder.resolve("config.yaml"),
        new CheckpointConfig(CONFIG, null)
            .toOfficialYaml()
            .replace("weight_mode: single", "weight_mode: fused")
            .replace("ffn_proj_factor: 2.6667", "ffn_proj_factor: 2.667"));
    try (var opened = ModelFolder.open(folder)) {
      assertThat(((LargeModelConfig) opened.config().model()).weightMode()).isEqualTo(mode);
    }
  }

  /// A few hundred kilobytes of weights that ask for gigabytes of memory.
  @Test
  void widths_that_only_the_memory_of_a_sequence_needs_are_refused() {
    var thin =
        new LargeModelConfig(
            2,
            1,
            1,
            1,
            false,
            40_000,
            40_000,
            1,
            1,
            15,
            30,
            true,
            1e-6,
            true,
            1e-6,
            64,
            256,
            WeightMode.SINGLE,
            false,
            null,
            List.of(),
            null);
    Folders.write(folder, thin, Folders.tensors(thin, 1, DType.F32));
    assertThatThrownBy(() -> ModelFolder.open(folder))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("the memory of one sequence would take 6400160004 bytes")
        .hasMessageContaining("the widths of the configuration are damaged");
  }

  @Test
  void a_number_that_is_not_finite_stops_every_conversion_and_leaves_nothing() {
    var tensors = new ArrayList<>(Folders.tensors(CONFIG, 1, DType.F32));
    float[] norm = new float[16];
    norm[3] = Float.NaN;
    tensors.replaceAll(tensor ->
        tensor.name().equals("backbone.out_norm.weight")
            ? TensorData.of(tensor.name(), DType.F32, tensor.shape(), norm)
            : tensor);
    Folders.write(folder.resolve("in"), CONFIG, tensors);
    Path out = folder.resolve("out");
    String message = "tensor 'backbone.out_norm.weight' has a number that is not finite: element 3";
    try (var opened = ModelFolder.open(folder.resolve("in"))) {
      assertThatThrownBy(
              () -> CheckpointConverter.write(opened, out, CheckpointConverter.Target.SAME))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining(message);
      assertThatThrownBy(() -> Int8Quantizer.write(opened, out, 0))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining(message);
    }
    assertThat(out).doesNotExist();
  }
}
