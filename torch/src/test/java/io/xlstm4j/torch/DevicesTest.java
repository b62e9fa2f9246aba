package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

/// Operations on a device that is not the CPU: libtorch's `meta`, whose tensors have shapes and no
/// numbers, and which refuses tensors of another device as a GPU does.
class DevicesTest {
  private static Tensor onMeta(long... shape) {
    return torch.empty(shape, Ops.options(ScalarType.Float, new Device(DeviceType.Meta)), null);
  }

  @Test
  void a_backward_pass_of_ours_that_only_parameters_want_stays_on_its_device() {
    Torch.load();
    var passes = new AtomicInteger();
    try (var _ = new PointerScope()) {
      Tensor output = onMeta(2, 3);
      Tensor mask =
          torch.empty(
              new long[] {2}, Ops.options(ScalarType.Bool, new Device(DeviceType.Meta)), null);
      HandWrittenBackward.tieWithParameters(
          List.of(),
          List.of(output),
          List.of(mask),
          gradients -> {
            assertThat(Ops.present(gradients[0]).is_meta()).isTrue();
            passes.incrementAndGet();
            return new Tensor[0];
          });
      assertThat(output.is_meta()).isTrue();
      output.sum().backward();
    }
    assertThat(passes).hasValue(1);
  }

  @Test
  void a_backward_pass_of_ours_with_inputs_stays_on_their_device() {
    Torch.load();
    try (var _ = new PointerScope()) {
      Tensor input = new Tensor(onMeta(2, 3).set_requires_grad(true));
      Tensor output = onMeta(2, 3);
      HandWrittenBackward.tieWithParameters(
          List.of(input),
          List.of(output),
          List.of(),
          gradients -> new Tensor[] {Ops.present(gradients[0]).mul(onMeta(1))});
      output.sum().backward();
      assertThat(input.grad().is_meta()).isTrue();
      assertThat(Ops.shape(input.grad())).containsExactly(2, 3);
    }
  }

  @Test
  void tensors_like_another_are_where_it_is() {
    Torch.load();
    try (var _ = new PointerScope()) {
      Tensor like = onMeta(2, 3);
      assertThat(Ops.zerosLike(like, 4).is_meta()).isTrue();
      assertThat(Ops.causal(4, like).is_meta()).isTrue();
      assertThat(Ops.range(4, like).is_meta()).isTrue();
      assertThat(MlstmCell.State.zero(2, 2, 4, 6, like).tensors()).allMatch(Tensor::is_meta);
      assertThat(SlstmCell.State.zero(2, 2, 4, like).tensors()).allMatch(Tensor::is_meta);
      assertThat(SequenceLayout.ofLengths(onMeta(2), 5).valid()).matches(Tensor::is_meta);
    }
  }
}
