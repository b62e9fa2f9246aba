package io.xlstm4j.core.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/// Sizes of models that this machine could not hold: only their configurations are looked at.
class ModelTensorsTest {
  /// Spec section 4; the sizes of the paper's table, with vocabulary 50,304 and 4 heads.
  @ParameterizedTest(name = "D {0}, {1} blocks, {2} of sLSTM")
  @CsvSource({
    "768, 24, 0, 163806144", "1024, 48, 0, 409290112", "1536, 48, 0, 840427392",
    "2048, 48, 0, 1422559616", "768, 24, 2, 163690928", "1024, 48, 6, 408436048",
    "1536, 48, 6, 839736144", "2048, 48, 6, 1420065104"
  })
  void counts_the_parameters_of_the_paper(int dim, int blocks, int slstm, long count) {
    List<Integer> slstmAt = IntStream.range(0, slstm).boxed().toList();
    var config = PaperModelConfig.of(50304, BlockStackConfig.of(blocks, dim, slstmAt));

    assertThat(ModelTensors.parameterCount(config)).isEqualTo(count);
  }

  @ParameterizedTest
  @EnumSource
  void counts_the_parameters_of_the_released_model(WeightMode mode) {
    var config = LargeModelConfig.of(50304, 4096, 32, 8).withWeightMode(mode);

    assertThat(ModelTensors.parameterCount(config)).isEqualTo(6_865_424_896L);
  }

  @Test
  void names_the_tensors_of_the_released_model() {
    var tensors = ModelTensors.of(LargeModelConfig.of(50304, 4096, 32, 8));
    String block = "backbone.blocks.31.";

    assertThat(tensors).hasSize(3 + 32 * 15);
    assertThat(tensors.get("backbone.embeddings.weight")).containsExactly(50304, 4096);
    assertThat(tensors.get(block + "norm_mlstm.weight")).containsExactly(4096);
    assertThat(tensors.get(block + "mlstm_layer.k.weight")).containsExactly(2048, 4096);
    assertThat(tensors.get(block + "mlstm_layer.ogate_preact.weight")).containsExactly(4096, 4096);
    assertThat(tensors.get(block + "mlstm_layer.fgate_preact.bias")).containsExactly(8);
    assertThat(tensors.get(block + "mlstm_layer.multihead_norm.weight")).containsExactly(4096);
    assertThat(tensors.get(block + "ffn.proj_up_gate.weight")).containsExactly(10944, 4096);
    assertThat(tensors.get(block + "ffn.proj_down.weight")).containsExactly(4096, 10944);
    assertThat(tensors.get("backbone.out_norm.weight")).containsExactly(4096);
    assertThat(tensors.get("lm_head.weight")).containsExactly(50304, 4096);
  }

  @Test
  void names_the_stacked_tensors_of_the_released_model() {
    var tensors =
        ModelTensors.of(LargeModelConfig.of(50304, 4096, 32, 8).withWeightMode(WeightMode.FUSED));
    String block = "backbone.blocks.0.";

    assertThat(tensors).hasSize(3 + 32 * 9);
    assertThat(tensors.get(block + "mlstm_layer.qkv_opreact.weight")).containsExactly(12288, 4096);
    assertThat(tensors.get(block + "mlstm_layer.ifgate_preact.bias")).containsExactly(16);
    assertThat(tensors.get(block + "ffn.proj_up_gate_z.weight")).containsExactly(21888, 4096);
  }
}
