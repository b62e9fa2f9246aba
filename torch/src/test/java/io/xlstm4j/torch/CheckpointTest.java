package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Checkpoints are read strictly, and written as they were read.
class CheckpointTest {
  private static final String KERNEL =
      "xlstm_block_stack.blocks.1.xlstm.slstm_cell._recurrent_kernel_";
  private static final String BIAS = "xlstm_block_stack.blocks.1.xlstm.slstm_cell._bias_";
  private static final String PROJ_UP = "xlstm_block_stack.blocks.0.xlstm.proj_up.weight";

  @TempDir private Path folder;
  private Path file;

  @BeforeEach
  void save() {
    file = folder.resolve("good.safetensors");
    try (var model = stirred(config(Backend.CUDA, false))) {
      Checkpoint.save(model, file);
    }
  }

  private static PaperModelConfig config(Backend backend, boolean tied) {
    var stack =
        new BlockStackConfig(
            2,
            16,
            16,
            List.of(1),
            MlstmBlockConfig.DEFAULT,
            new SlstmBlockConfig(
                SlstmLayerConfig.DEFAULT.withNumHeads(2).withBackend(backend),
                FeedForwardConfig.DEFAULT),
            true,
            false,
            0.0);
    return new PaperModelConfig(10, stack, tied, false, false);
  }

  private static XlstmLanguageModel stirred(PaperModelConfig config) {
    var model = new XlstmLanguageModel(config);
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var draws = new Draws(3, ScalarType.Float);
      for (Tensor parameter : model.parameters().byName().values()) {
        parameter.add_(draws.normal(0.2, Ops.shape(parameter)));
      }
    }
    return model;
  }

  private static XlstmLanguageModel load(PaperModelConfig config, Path path) {
    try (TensorSource source = SafetensorsFile.open(path)) {
      return Checkpoint.load(config, source, "folder", Torch.device("cpu"));
    }
  }

  /// The saved checkpoint with some tensors changed; null takes one out.
  private Path changed(UnaryOperator<List<TensorData>> change) {
    Path path = folder.resolve("changed.safetensors");
    try (TensorSource source = SafetensorsFile.open(file)) {
      var tensors = new ArrayList<TensorData>();
      for (TensorInfo info : source.tensors().values()) {
        tensors.add(
            new TensorData(info.name(), info.dtype(), info.shape(), source.data(info.name())));
      }
      SafetensorsWriter.write(path, change.apply(tensors), Map.of());
    }
    return path;
  }

  private Path without(String name) {
    return changed(all -> all.stream().filter(x -> !x.name().equals(name)).toList());
  }

  private Path with(TensorData other) {
    return changed(all -> {
      var tensors = new ArrayList<>(all);
      tensors.removeIf(x -> x.name().equals(other.name()));
      tensors.add(other);
      return tensors;
    });
  }

  private static void assertRefused(PaperModelConfig config, Path path, String... parts) {
    try (var _ = new PointerScope()) {
      assertThatThrownBy(() -> load(config, path)); // the first time fills caches
    }
    long handles = Pointer.totalCount();
    try (var _ = new PointerScope()) {
      assertThatThrownBy(() -> load(config, path))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContainingAll(parts);
    }
    assertThat(Pointer.totalCount()).as("native objects left").isLessThanOrEqualTo(handles);
  }

  @Test
  void a_missing_tensor_is_named() {
    assertRefused(
        config(Backend.CUDA, false),
        without(PROJ_UP),
        "folder: tensor " + PROJ_UP + " is missing; the configuration asks for it");
  }

  @Test
  void a_missing_recurrent_kernel_is_named() {
    assertRefused(config(Backend.CUDA, false), without(KERNEL), KERNEL, "is missing");
  }

  @Test
  void a_spare_tensor_is_named() {
    assertRefused(
        config(Backend.CUDA, false),
        with(TensorData.of("spare.weight", DType.F32, new long[] {2}, 1, 2)),
        "folder: tensor spare.weight is spare; the configuration knows no such part");
  }

  @Test
  void a_tensor_of_another_shape_is_named_with_both_shapes() {
    assertRefused(
        config(Backend.CUDA, false),
        with(TensorData.of("lm_head.weight", DType.F32, new long[] {16, 10}, new float[160])),
        "folder: tensor lm_head.weight has shape [16, 10], but the configuration asks for [10, 16]");
    assertRefused(
        config(Backend.CUDA, false),
        with(TensorData.of(KERNEL, DType.F32, new long[] {2, 16, 16}, new float[512])),
        KERNEL + " has shape [2, 16, 16], but the configuration asks for [2, 8, 32]");
    assertRefused(
        config(Backend.CUDA, false),
        with(TensorData.of(BIAS, DType.F32, new long[] {2, 32}, new float[64])),
        BIAS + " has shape [2, 32], but the configuration asks for [64]");
  }

  @Test
  void a_tensor_of_integers_is_named_with_its_type() {
    assertRefused(
        config(Backend.CUDA, false),
        with(
            TensorData.ofIntegers("lm_head.weight", DType.I64, new long[] {10, 16}, new long[160])),
        "folder: tensor lm_head.weight has type I64",
        "must be a floating-point type");
  }

  @Test
  void tied_weights_that_differ_are_named_both() {
    assertRefused(
        config(Backend.CUDA, true),
        file,
        "the configuration ties the weights, but lm_head.weight and token_embedding.weight differ");
    assertRefused(
        config(Backend.CUDA, true),
        with(TensorData.of("lm_head.weight", DType.F32, new long[] {16, 10}, new float[160])),
        "lm_head.weight has shape [16, 10], but the configuration asks for [10, 16]");
  }

  @Test
  void tied_weights_may_be_stored_once_or_twice() {
    Path twice = folder.resolve("tied.safetensors");
    try (var model = stirred(config(Backend.CUDA, true))) {
      Checkpoint.save(model, twice);
      try (TensorSource source = SafetensorsFile.open(twice)) {
        assertThat(source.floats("lm_head.weight"))
            .containsExactly(source.floats("token_embedding.weight"));
      }
      try (var again = load(config(Backend.CUDA, true), twice);
          var once = load(config(Backend.CUDA, true), without("lm_head.weight"))) {
        assertSameParameters(again, model);
        assertThat(once.parameters().byName()).doesNotContainKey("lm_head.weight");
      }
    }
  }

  @Test
  void bytes_of_a_tensor_need_a_scope_that_keeps_them() {
    try (Tensor x = Tensors.of(new float[] {1, 2}, 2)) {
      assertThatThrownBy(() -> TorchTensorData.of("x", x))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("open a PointerScope");
    }
  }

  @ParameterizedTest
  @EnumSource
  void both_kernel_layouts_are_one_model_written_in_the_layout_of_the_configuration(
      Backend configured) {
    Path rewritten = folder.resolve("rewritten.safetensors");
    Path back = folder.resolve("back.safetensors");
    try (var model = load(config(Backend.CUDA, false), file);
        var other = load(config(configured, false), file)) {
      assertSameParameters(other, model);
      Checkpoint.save(other, rewritten);
      try (TensorSource source = SafetensorsFile.open(rewritten);
          TensorSource original = SafetensorsFile.open(file)) {
        assertThat(source.info(KERNEL).shape())
            .isEqualTo(configured == Backend.CUDA ? new long[] {2, 8, 32} : new long[] {2, 32, 8});
        float[] cuda = original.floats(BIAS); // (head, gate, unit)
        float[] stored = source.floats(BIAS);
        for (int head = 0; head < 2; head++) {
          for (int gate = 0; gate < 4; gate++) {
            int at = configured == Backend.CUDA ? head * 4 + gate : gate * 2 + head;
            assertThat(stored[at * 8 + 5]).isEqualTo(cuda[(head * 4 + gate) * 8 + 5]);
          }
        }
      }
      try (var again = load(config(Backend.CUDA, false), rewritten)) {
        assertSameParameters(again, model);
        Checkpoint.save(again, back);
        assertThat(back).hasSameBinaryContentAs(file);
      }
    }
  }

  private static void assertSameParameters(XlstmLanguageModel actual, XlstmLanguageModel expected) {
    assertThat(actual.parameters().byName().keySet())
        .containsExactlyElementsOf(expected.parameters().byName().keySet());
    var others = new ArrayList<>(actual.parameters().byName().values());
    for (Map.Entry<String, Tensor> entry : expected.parameters().byName().entrySet()) {
      assertThat(Tensors.floats(others.removeFirst()))
          .as(entry.getKey())
          .containsExactly(Tensors.floats(entry.getValue()));
    }
  }
}
