package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.bytedeco.pytorch.global.torch.allclose;

import io.xlstm4j.cuda.cell.ElementType;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

/// Tests that need no GPU; [CudaCellChecks] runs the kernels.
class CudaCellsTest {
  @Test
  void the_kernels_are_not_used_on_the_cpu() {
    try (var _ = new PointerScope()) {
      Torch.load();
      Tensor wx = Init.normal(1).create(2, 3, 4, 2, 8);

      assertThat(CudaCells.forSlstm(wx)).isNull();
      assertThat(CudaCells.forSlstm(wx.to(ScalarType.BFloat16))).isNull();
    }
  }

  @Test
  void kernels_are_for_float32_and_bfloat16_alone() {
    try (var _ = new PointerScope()) {
      Torch.load();
      Tensor x = Init.normal(1).create(3);

      assertThat(CudaCells.type(x)).isEqualTo(ElementType.FLOAT32);
      assertThat(CudaCells.type(x.to(ScalarType.BFloat16))).isEqualTo(ElementType.BFLOAT16);
      assertThat(CudaCells.type(x.to(ScalarType.Double))).isNull();
      assertThat(CudaCells.type(x.to(ScalarType.Half))).isNull();
    }
  }

  @Test
  void sizes_that_a_launch_cannot_hold_are_named() {
    assertThat(CudaCells.whyNot(16, 1024, 4, 192)).isEmpty();
    assertThat(CudaCells.whyNot(1, 1, 1, 1024)).isEmpty();
    assertThat(CudaCells.whyNot(1, 1, 1, 1025)).contains("heads of 1025 units are wider than 1024");
    assertThat(CudaCells.whyNot(1, 1, 65_536, 1))
        .contains("1 sequences of 65536 heads are too many");
    assertThat(CudaCells.whyNot(1 << 16, 1 << 15, 1, 8))
        .contains("65536 sequences of 32768 tokens are too many");
  }

  @Test
  void memory_of_the_kernels_is_contiguous_and_begins_at_a_multiple_of_16_bytes() {
    try (var _ = new PointerScope()) {
      Torch.load();
      Tensor x = Init.normal(1).create(6, 5);

      for (Tensor view : new Tensor[] {x, x.narrow(0, 1, 3), x.transpose(0, 1)}) {
        Tensor aligned = CudaTensors.aligned(view);

        assertThat(aligned.is_contiguous()).isTrue();
        assertThat(TensorSegments.address(aligned) % 16).isZero();
        assertThat(allclose(aligned, view)).isTrue();
      }
    }
  }

  @Test
  void the_mlstm_takes_the_kernels_of_no_gpu_on_the_cpu() {
    try (var _ = new PointerScope()) {
      Torch.load();
      Tensor q = Init.normal(1).create(2, 3, 16);
      Tensor gate = Init.normal(1).create(2, 3, 2);

      assertThat(CudaCells.forMlstm(q, q, gate, SequenceLayout.FULL)).isNull();
    }
  }

  @Test
  void half_types_are_widened_for_the_mlstm_cell_on_the_cpu() {
    try (var _ = new PointerScope()) {
      Torch.load();
      Torch.seed(4);
      Tensor q = Init.normal(1).create(2, 3, 16).to(ScalarType.BFloat16);
      Tensor gate = Init.normal(1).create(2, 3, 2).to(ScalarType.BFloat16);
      var zero = MlstmCell.State.zero(2, 2, 8, 8, q);
      Tensor wide = q.to(ScalarType.Float);
      Tensor wideGate = gate.to(ScalarType.Float);
      for (Backend backend : Backend.values()) {
        var execution = new ExecutionMode();
        execution.backend(backend);

        MlstmCell.Output h = execution.mlstm(q, q, q, gate, gate, zero, SequenceLayout.FULL);

        assertThat(h.h().scalar_type().intern()).isEqualTo(ScalarType.Float);
        MlstmCell.Output same =
            execution.mlstm(wide, wide, wide, wideGate, wideGate, zero, SequenceLayout.FULL);
        assertThat(allclose(h.h(), same.h())).isTrue();
      }
    }
  }

  @Test
  void half_types_are_widened_for_the_cell_on_the_cpu() {
    try (var _ = new PointerScope()) {
      Torch.load();
      Torch.seed(3);
      Tensor wx = Init.normal(1).create(2, 3, 4, 2, 8).to(ScalarType.BFloat16);
      Tensor r = Init.normal(0.1).create(2, 8, 4, 8).to(ScalarType.BFloat16);
      Tensor b = Init.normal(1).create(2, 4, 8).to(ScalarType.BFloat16);
      var zero = SlstmCell.State.zero(2, 2, 8, b);
      for (Backend backend : Backend.values()) {
        var execution = new ExecutionMode();
        execution.backend(backend);

        SlstmCell.Output y = execution.slstm(SlstmCell.PAPER, wx, r, b, zero, SequenceLayout.FULL);

        assertThat(y.y().scalar_type().intern()).isEqualTo(ScalarType.Float);
        assertThat(y.state().c().scalar_type().intern()).isEqualTo(ScalarType.Float);
      }
    }
  }
}
