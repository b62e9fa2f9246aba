package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.bytedeco.pytorch.global.torch.randn;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;

class HandWrittenBackwardTest {
  /// sin(a) * b, with a backward pass by hand that reads both inputs by address.
  private static Tensor sineTimes(Tensor a, Tensor b) {
    Tensor out;
    try (var _ = new NoGradGuard()) {
      out = a.sin().mul(b);
    }
    long[] shape = Ops.shape(a);
    long addressA = a.data_ptr().address();
    long addressB = b.data_ptr().address();
    return HandWrittenBackward.tie(
        List.of(a, b),
        out,
        List.of(),
        gradient -> {
          Tensor x = at(addressA, shape);
          Tensor y = at(addressB, shape);
          return new Tensor[] {gradient.mul(y).mul(x.cos()), gradient.mul(x.sin())};
        });
  }

  private static Tensor at(long address, long[] shape) {
    int count = (int) Arrays.stream(shape).reduce(1, (i, j) -> i * j);
    float[] values =
        MemorySegment.ofAddress(address).reinterpret(count * 4L).toArray(ValueLayout.JAVA_FLOAT);
    return Tensors.of(values, shape);
  }

  private static Tensor leaf() {
    return new Tensor(randn(3, 5).set_requires_grad(true));
  }

  @Test
  void gives_the_gradients_that_autograd_gives() {
    Torch.seed(1);
    try (var _ = new PointerScope()) {
      Tensor a = leaf();
      Tensor b = leaf();
      sineTimes(Ops.times(a, 2), b).square().sum().backward();
      Tensor da = a.grad().clone();
      Tensor db = b.grad().clone();
      a.mutable_grad().reset();
      b.mutable_grad().reset();
      Ops.times(a, 2).sin().mul(b).square().sum().backward();
      Golden.assertClose("da", da, a.grad(), 1e-5);
      Golden.assertClose("db", db, b.grad(), 1e-5);
    }
  }

  @Test
  void two_uses_in_one_graph_do_not_mix() {
    Torch.seed(2);
    try (var _ = new PointerScope()) {
      Tensor a = leaf();
      Tensor b = leaf();
      Tensor first = sineTimes(a, b);
      sineTimes(first, sineTimes(b, a)).sum().backward();
      Tensor da = a.grad().clone();
      a.mutable_grad().reset();
      b.mutable_grad().reset();
      a.sin().mul(b).sin().mul(b.sin().mul(a)).sum().backward();
      Golden.assertClose("da", da, a.grad(), 1e-5);
    }
  }

  @Test
  void an_input_without_a_gradient_gets_none_and_does_not_disturb() {
    try (var _ = new PointerScope()) {
      Tensor a = leaf();
      Tensor b = new Tensor(randn(3, 5));
      sineTimes(a, b).sum().backward();
      Golden.assertClose("da", a.grad(), a.detach().cos().mul(b), 1e-6);
      assertThat(b.grad().defined()).isFalse();
    }
  }

  @Test
  void the_graph_outlives_the_scopes_it_was_built_in() {
    try (var _ = new PointerScope()) {
      Tensor a = leaf();
      Tensor loss =
          Scopes.scopedTensor(() -> {
            Tensor shifted = Ops.onePlus(a); // freed here but for the graph
            Tensor one = Ops.onePlus(a.detach());
            return sineTimes(shifted, one).sum();
          });
      for (int i = 0; i < 50; i++) { // would reuse freed memory
        Scopes.scopedTensor(() -> randn(3, 5).mul(randn(3, 5)));
      }
      loss.backward();
      Tensor x = Ops.onePlus(a.detach());
      Golden.assertClose("da", a.grad(), x.cos().mul(x), 1e-6);
    }
  }

  @Test
  void a_second_backward_pass_through_one_graph_is_refused() {
    try (var _ = new PointerScope()) {
      Tensor a = leaf();
      Tensor loss = sineTimes(a, a.detach()).sum();
      loss.backward(new Tensor(), new BoolOptional(true), false, null);
      assertThatThrownBy(() -> loss.backward(new Tensor(), new BoolOptional(true), false, null))
          .hasMessageContaining("one backward pass for each forward pass");
    }
  }

  @Test
  void without_a_graph_the_output_is_left_as_it_is() {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      assertThat(sineTimes(leaf(), leaf()).requires_grad()).isFalse();
    }
  }

  @Test
  void an_exception_in_the_backward_pass_reaches_the_caller() {
    try (var _ = new PointerScope()) {
      Tensor a = leaf();
      Tensor out = new Tensor(a.detach().clone());
      Tensor tied =
          HandWrittenBackward.tie(
              List.of(a),
              out,
              List.of(),
              _ -> {
                throw new IllegalStateException("the kernel said no");
              });
      Tensor loss = tied.sum();
      assertThatThrownBy(loss::backward).hasMessageContaining("the kernel said no");
      sineTimes(a, a.detach()).sum().backward(); // and the next one works
    }
  }

  @Test
  void a_value_that_is_not_a_number_stays_where_it_is() {
    try (var _ = new PointerScope()) {
      Tensor values = new Tensor(randn(2, 2));
      values.select(0, 0).select(0, 0).fill_(Ops.number(Double.NaN));
      Tensor a = values.set_requires_grad(true);
      Tensor out = sineTimes(a, new Tensor(randn(2, 2)));
      float[] y = Tensors.floats(out);
      assertThat(y[0]).isNaN();
      assertThat(y[1] + y[2] + y[3]).isFinite();
    }
  }

  @Test
  void memory_stays_flat_over_twenty_thousand_rounds() {
    try (var _ = new PointerScope()) {
      Tensor a = leaf();
      Tensor b = leaf();
      long before = 0;
      long handles = 0;
      for (int round = 0; round < 20_000; round++) {
        try (var _ = new PointerScope()) {
          sineTimes(Ops.times(a, 2), b).sum().backward();
          a.mutable_grad().reset();
          b.mutable_grad().reset();
        }
        if (round == 5_000) {
          before = NativeMemory.settled();
          handles = Pointer.totalCount();
        }
      }
      long growth = NativeMemory.settled(handles) - before;
      assertThat(Pointer.totalCount()).isLessThanOrEqualTo(handles);
      assertThat(growth).isLessThan(15_000 * 20); // a leak would be hundreds of bytes a round
    }
  }
}
