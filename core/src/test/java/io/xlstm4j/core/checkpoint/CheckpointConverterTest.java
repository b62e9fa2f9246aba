package io.xlstm4j.core.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointConverter.Target;
import io.xlstm4j.core.checkpoint.ModelFolder.Layout;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import io.xlstm4j.core.safetensors.BFloat16;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// From any layout to any other and back, every number stays.
class CheckpointConverterTest {
  private static final long LARGE_FILES = CheckpointConverter.DEFAULT_SHARD_BYTES;

  @TempDir private Path folder;

  /// More than ten blocks: their names are not in the order of their numbers.
  private static LargeModelConfig large(boolean bias, boolean tied) {
    return new LargeModelConfig(
        9,
        8,
        12,
        2,
        bias,
        0.5,
        1.0,
        1.5,
        4,
        15.0,
        30.0,
        true,
        1e-6,
        true,
        1e-6,
        64,
        256,
        WeightMode.SINGLE,
        tied,
        null,
        List.of(),
        null);
  }

  private static PaperModelConfig paper() {
    return PaperModelConfig.of(9, BlockStackConfig.of(2, 16, List.of(1)));
  }

  private Path convert(Path from, String to, Target target) {
    Path out = folder.resolve(to);
    try (var opened = ModelFolder.open(from)) {
      CheckpointConverter.write(opened, out, target);
    }
    return out;
  }

  private static Target layout(Layout layout) {
    return new Target(layout, null, null, null, LARGE_FILES);
  }

  private static Target weights(WeightMode mode) {
    return new Target(null, mode, null, null, LARGE_FILES);
  }

  private static Target files(@Nullable Layout layout, long bytes) {
    return new Target(layout, null, null, null, bytes);
  }

  private static Map<String, List<Double>> values(Path path) {
    try (var opened = ModelFolder.open(path)) {
      return Folders.values(opened.tensors());
    }
  }

  private static ModelConfig model(Path path) {
    return CheckpointConfig.read(path).model();
  }

  @Test
  void single_and_fused_weights_hold_the_same_numbers() {
    for (boolean bias : new boolean[] {false, true}) {
      var config = large(bias, false);
      Path single =
          Folders.write(
              folder.resolve("single" + bias), config, Folders.tensors(config, 1, DType.F32));

      Path fused = convert(single, "fused" + bias, weights(WeightMode.FUSED));
      Path back = convert(fused, "back" + bias, weights(WeightMode.SINGLE));

      assertThat(model(fused)).isEqualTo(config.withWeightMode(WeightMode.FUSED));
      assertThat(model(back)).isEqualTo(config);
      assertThat(values(back)).isEqualTo(values(single));
      assertThat(back.resolve("model.safetensors"))
          .hasSameBinaryContentAs(
              convert(single, "same" + bias, Target.SAME).resolve("model.safetensors"));
      try (var opened = ModelFolder.open(fused)) { // and without writing anything
        assertThat(Folders.values(opened.tensors(WeightMode.SINGLE))).isEqualTo(values(single));
      }
    }
  }

  @Test
  void every_block_is_stacked_of_its_own_rows() {
    var config = large(false, false);
    Path single =
        Folders.write(folder.resolve("single"), config, Folders.tensors(config, 2, DType.F32));
    Path fused = convert(single, "fused", weights(WeightMode.FUSED));

    try (var before = ModelFolder.open(single);
        var after = ModelFolder.open(fused)) {
      for (int block = 0; block < config.numBlocks(); block++) {
        String at = "backbone.blocks." + block + ".";
        assertStacked(
            before,
            after,
            at + "mlstm_layer.qkv_opreact.weight",
            at + "mlstm_layer.q.weight",
            at + "mlstm_layer.k.weight",
            at + "mlstm_layer.v.weight",
            at + "mlstm_layer.ogate_preact.weight");
        assertStacked(
            before,
            after,
            at + "mlstm_layer.ifgate_preact.bias",
            at + "mlstm_layer.igate_preact.bias",
            at + "mlstm_layer.fgate_preact.bias");
        assertStacked(
            before,
            after,
            at + "ffn.proj_up_gate_z.weight",
            at + "ffn.proj_up_gate.weight",
            at + "ffn.proj_up.weight");
      }
    }
  }

  private static void assertStacked(
      ModelFolder before, ModelFolder after, String stack, String... parts) {
    double[] expected =
        Stream.of(parts)
            .flatMapToDouble(part -> Arrays.stream(before.tensors().doubles(part)))
            .toArray();
    assertThat(after.tensors().doubles(stack)).as(stack).containsExactly(expected);
  }

  @Test
  void the_official_layout_holds_the_same_numbers() {
    var config = large(true, false);
    Path ours =
        Folders.write(folder.resolve("ours"), config, Folders.tensors(config, 3, DType.F32));

    Path official = convert(ours, "official", layout(Layout.OFFICIAL));
    Path shards = convert(official, "shards", files(null, 4_000));
    Path back = convert(shards, "back", layout(Layout.CONFIG_JSON));

    assertThat(official.resolve("config.yaml")).isRegularFile();
    assertThat(official.resolve("config.json")).doesNotExist();
    try (var file = SafetensorsFile.open(official.resolve("model.safetensors"))) {
      assertThat(file.tensors()).containsKey("embedding.weight");
    }
    assertThat(shards.resolve("model_0.safetensors")).isRegularFile();
    assertThat(shards.resolve("model_1.safetensors")).isRegularFile();
    assertThat(shards.resolve("model.safetensors")).doesNotExist();
    assertThat(values(shards)).isEqualTo(values(ours));
    assertThat(values(back)).isEqualTo(values(ours));
    assertThat(model(back)).isEqualTo(config);
  }

  @Test
  void the_official_layout_stores_a_tied_head() {
    var config = large(false, true);
    Path ours =
        Folders.write(folder.resolve("ours"), config, Folders.tensors(config, 4, DType.F32));
    Path official = convert(ours, "official", layout(Layout.OFFICIAL));

    assertThat(model(official).tiesWeights()).isFalse();
    assertThat(values(official).get("lm_head.weight"))
        .isEqualTo(values(ours).get("backbone.embeddings.weight"));
  }

  /// Hugging Face's library draws a missing head at random, whatever the configuration ties.
  @Test
  void every_layout_stores_the_head_of_a_tied_model_that_has_none() {
    var config = large(false, true);
    Path once =
        Folders.write(folder.resolve("once"), config, Folders.tensors(config, 4, DType.F32));
    assertThat(values(once)).doesNotContainKey("lm_head.weight");
    var targets =
        Map.of(
            "same", Target.SAME,
            "huggingface", layout(Layout.CONFIG_JSON),
            "shards", files(Layout.CONFIG_JSON, 3_000),
            "fused", weights(WeightMode.FUSED));
    targets.forEach((name, target) -> {
      Path written = convert(once, name, target);
      assertThat(model(written).tiesWeights()).as(name).isTrue();
      assertThat(values(written).get("lm_head.weight"))
          .as(name)
          .isEqualTo(values(once).get("backbone.embeddings.weight"));
      Path again = convert(written, name + "-again", target);
      assertThat(values(again)).as(name).isEqualTo(values(written));
    });
    assertThat(ModelTensors.parameterCount(model(once)))
        .isEqualTo(values(once).values().stream().mapToLong(List::size).sum());
  }

  @Test
  void eight_bits_hold_a_tied_matrix_once_and_compare_it_where_it_is_twice() throws IOException {
    var config = LargeModelConfig.of(40, 32, 1, 2);
    ObjectNode tied =
        (ObjectNode) new ObjectMapper().readTree(new CheckpointConfig(config, null).toJson());
    Path ours =
        Folders.write(folder.resolve("ours"), config, Folders.tensors(config, 4, DType.F32));
    Path twice = folder.resolve("twice");
    try (var opened = ModelFolder.open(ours)) {
      Int8Quantizer.write(opened, twice, 32); // a head of its own
    }
    Files.delete(twice.resolve("manifest.json"));
    tied.put("tie_word_embeddings", true);
    Files.writeString(twice.resolve("config.json"), tied.toString());
    assertThatThrownBy(() -> ModelFolder.open(twice))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("lm_head.weight and backbone.embeddings.weight differ");

    Files.writeString(ours.resolve("config.json"), tied.toString());
    var tensors = Folders.tensors(model(ours), 4, DType.F32);
    Folders.write(ours, model(ours), tensors);
    Path once = folder.resolve("once");
    try (var opened = ModelFolder.open(convert(ours, "whole", Target.SAME))) {
      assertThat(opened.tensors().tensors()).containsKey("lm_head.weight");
      Int8Quantizer.write(opened, once, 32);
    }
    assertThat(values(once)).doesNotContainKey("lm_head.weight");
  }

  @Test
  void shards_hold_the_same_numbers() {
    var config = large(false, false);
    Path one = Folders.write(folder.resolve("one"), config, Folders.tensors(config, 5, DType.F32));
    Path many = convert(one, "many", files(null, 3_000));

    assertThat(many.resolve("model.safetensors.index.json")).isRegularFile();
    assertThat(many.resolve("model.safetensors")).doesNotExist();
    assertThat(values(many)).isEqualTo(values(one));
    assertThat(values(convert(many, "again", files(null, LARGE_FILES)))).isEqualTo(values(one));
  }

  @ParameterizedTest
  @EnumSource(names = {"F64", "F32", "BF16", "F16"})
  void numbers_are_rounded_to_the_type_asked_for(DType type) {
    var config = large(false, false);
    Path wide =
        Folders.write(folder.resolve("wide"), config, Folders.tensors(config, 6, DType.F32));
    Path narrow =
        convert(wide, "narrow", new Target(null, WeightMode.FUSED, null, type, LARGE_FILES));

    try (var before = ModelFolder.open(wide);
        var after = ModelFolder.open(narrow)) {
      for (TensorInfo info : after.tensors().tensors().values()) {
        assertThat(info.dtype()).isEqualTo(type);
        float[] expected = before.tensors(WeightMode.FUSED).floats(info.name());
        for (int i = 0; i < expected.length; i++) {
          expected[i] =
              switch (type) {
                case BF16 -> BFloat16.toFloat(BFloat16.fromFloat(expected[i]));
                case F16 -> Float.float16ToFloat(Float.floatToFloat16(expected[i]));
                default -> expected[i];
              };
        }
        assertThat(after.tensors().floats(info.name())).as(info.name()).containsExactly(expected);
      }
    }
    String name =
        Map.of(DType.F64, "float64", DType.F32, "float32", DType.BF16, "bfloat16")
            .getOrDefault(type, "float16");
    assertThat(narrow.resolve("config.json")).content().contains("\"dtype\" : \"" + name + "\"");
  }

  @Test
  void a_number_too_large_for_the_type_is_refused_and_nothing_is_left() {
    var config = large(false, false);
    var tensors = new java.util.ArrayList<>(Folders.tensors(config, 7, DType.F32));
    tensors.removeIf(tensor -> tensor.name().equals("backbone.out_norm.weight"));
    tensors.add(
        TensorData.of(
            "backbone.out_norm.weight", DType.F32, new long[] {8}, 1, 1, 1, 7e4f, 1, 1, 1, 1));
    Path wide = Folders.write(folder.resolve("wide"), config, tensors);

    assertThatThrownBy(
            () -> convert(wide, "narrow", new Target(null, null, null, DType.F16, LARGE_FILES)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(
            "'backbone.out_norm.weight' holds 70000.0, which is too large for F16");
    assertThat(folder.resolve("narrow")).doesNotExist();
  }

  @Test
  void recurrent_kernels_change_their_layout_and_come_back() {
    var config = paper().withKernelLayout(Backend.CUDA);
    Path cuda =
        Folders.write(folder.resolve("cuda"), config, Folders.tensors(config, 8, DType.F32));
    Path vanilla =
        convert(cuda, "vanilla", new Target(null, null, Backend.VANILLA, null, LARGE_FILES));
    Path back = convert(vanilla, "back", new Target(null, null, Backend.CUDA, null, LARGE_FILES));

    String cell = "xlstm_block_stack.blocks.1.xlstm.slstm_cell.";
    try (var before = ModelFolder.open(cuda);
        var after = ModelFolder.open(vanilla)) {
      double[] kernel = before.tensors().doubles(cell + "_recurrent_kernel_"); // [4, 4, 16]
      double[] turned = after.tensors().doubles(cell + "_recurrent_kernel_"); // [4, 16, 4]
      double[] bias = before.tensors().doubles(cell + "_bias_"); // head, gate, unit
      double[] moved = after.tensors().doubles(cell + "_bias_"); // gate, head, unit
      for (int head = 0; head < 4; head++) {
        for (int in = 0; in < 4; in++) {
          for (int out = 0; out < 16; out++) {
            assertThat(turned[(head * 16 + out) * 4 + in])
                .isEqualTo(kernel[(head * 4 + in) * 16 + out]);
          }
        }
        for (int gate = 0; gate < 4; gate++) {
          for (int unit = 0; unit < 4; unit++) {
            assertThat(moved[(gate * 4 + head) * 4 + unit])
                .isEqualTo(bias[(head * 4 + gate) * 4 + unit]);
          }
        }
      }
    }
    assertThat(values(back)).isEqualTo(values(cuda));
    assertThat(model(back)).isEqualTo(config);
  }

  @Test
  void what_a_family_does_not_have_is_refused_in_one_line() {
    var largeConfig = large(false, false);
    Path large =
        Folders.write(
            folder.resolve("large"), largeConfig, Folders.tensors(largeConfig, 9, DType.F32));
    Path paper =
        Folders.write(folder.resolve("paper"), paper(), Folders.tensors(paper(), 9, DType.F32));

    assertRefused(
        large, new Target(null, null, Backend.CUDA, null, 1), "which has no sLSTM kernels");
    assertRefused(
        large,
        new Target(Layout.OFFICIAL, WeightMode.FUSED, null, null, 1),
        "reads single weights only");
    assertRefused(paper, weights(WeightMode.FUSED), "is of the paper family");
    assertRefused(paper, layout(Layout.OFFICIAL), "is of the paper family");
    assertThatThrownBy(() -> convert(large, "large", Target.SAME))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageEndingWith("input and output are the same folder");
  }

  private void assertRefused(Path from, Target target, String message) {
    assertThatThrownBy(() -> convert(from, "refused", target))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
    assertThat(folder.resolve("refused")).doesNotExist();
  }

  @Test
  void a_tokenizer_goes_with_its_model() throws IOException {
    var config = large(false, false);
    Path from =
        Folders.write(folder.resolve("from"), config, Folders.tensors(config, 1, DType.F32));
    Files.writeString(from.resolve("tokenizer.json"), "{}");
    Files.writeString(from.resolve("notes.txt"), "mine");
    Path to = convert(from, "to", Target.SAME);

    assertThat(to.resolve("tokenizer.json")).hasContent("{}");
    assertThat(to.resolve("notes.txt")).doesNotExist();
  }
}
