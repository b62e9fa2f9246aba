package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.bytedeco.pytorch.global.torch.allclose;

import io.xlstm4j.core.config.CausalConv1dConfig;
import io.xlstm4j.core.config.LinearHeadwiseExpandConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

/// Operations that GPUs compute in another form than CPUs: on a CPU both give the same numbers and
/// gradients.
class FormsForGpusTest {
  @Test
  void a_headwise_projection_as_one_product_is_the_products_of_its_blocks() {
    try (var _ = new PointerScope();
        var parameters = new Parameters(Torch.device("cpu"), ScalarType.Double)) {
      Torch.seed(5);
      var config = LinearHeadwiseExpandConfig.of(24, 6, true);
      var projection = HeadwiseLinear.create(parameters.at("projection"), config, Init.normal(1));
      Tensor x = Init.normal(1).create(2, 5, 24).to(ScalarType.Double);

      assertSame(parameters, x, projection::forwardDense, projection::forwardByBlocks);
    }
  }

  @Test
  void a_convolution_at_once_is_the_sum_of_its_taps() {
    for (int length : new int[] {1, 2, 7}) {
      try (var _ = new PointerScope();
          var parameters = new Parameters(Torch.device("cpu"), ScalarType.Double)) {
        Torch.seed(6);
        var conv = new CausalConv1d(parameters.at("conv"), CausalConv1dConfig.of(8, 4));
        Tensor known = Init.normal(1).create(3, 3 + length, 8).to(ScalarType.Double);

        assertSame(parameters, known, conv::atOnce, x -> conv.byTaps(x, null));
      }
    }
  }

  private static void assertSame(
      Parameters parameters, Tensor x, UnaryOperator<Tensor> one, UnaryOperator<Tensor> other) {
    List<Tensor> ours = results(parameters, x, one);
    List<Tensor> reference = results(parameters, x, other);
    assertThat(ours).hasSizeGreaterThan(3);
    for (int i = 0; i < ours.size(); i++) {
      assertThat(allclose(ours.get(i), reference.get(i))).as("result %d", i).isTrue();
    }
  }

  /// The output, and the gradients of the input and of all parameters.
  private static List<Tensor> results(Parameters parameters, Tensor x, UnaryOperator<Tensor> form) {
    parameters.zeroGradients();
    Tensor leaf = DiagnosticSetting.asLeaf(x);
    Tensor y = form.apply(leaf);
    y.mul(y.sin()).sum().backward();
    var results = new ArrayList<Tensor>(List.of(y, leaf.grad().clone()));
    parameters.byName().values().forEach(p -> results.add(p.grad().clone()));
    return results;
  }
}
