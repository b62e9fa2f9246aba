package io.xlstm4j.bench.jmh;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Each JMH benchmark once, at a small size; their memory fits the kernels, or these would throw.
class JmhBenchmarksTest {
  private final KernelState state = new KernelState();

  private KernelState state(String twin) {
    state.twin = twin;
    state.threads = 2;
    state.open();
    assertThat(state.kernels().vectorized()).isEqualTo(twin.equals("vector"));
    return state;
  }

  @AfterEach
  void close() {
    if (state.threads > 0) {
      state.close();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"vector", "scalar"})
  void the_cells_run(String twin) {
    state(twin);
    var slstm = new SlstmBenchmark();
    slstm.batch = 2;
    slstm.length = 3;
    slstm.heads = 2;
    slstm.headDim = 5;
    slstm.draw(state);
    slstm.forward();
    slstm.forwardBackward();
    var mlstm = new MlstmBenchmark();
    mlstm.batch = 2;
    mlstm.length = 3;
    mlstm.heads = 2;
    mlstm.headDim = 5;
    mlstm.draw(state);
    mlstm.forward();
    mlstm.forwardBackward();
  }

  @ParameterizedTest
  @ValueSource(strings = {"vector", "scalar"})
  void the_whole_blocks_run(String twin) {
    state(twin);
    var slstm = new SlstmBlockBenchmark();
    slstm.batch = 2;
    slstm.length = 3;
    slstm.dim = 8;
    slstm.heads = 2;
    slstm.up = 6;
    slstm.draw(state);
    slstm.forward();
    slstm.forwardBackward();
    var mlstm = new MlstmBlockBenchmark();
    mlstm.batch = 2;
    mlstm.length = 3;
    mlstm.dim = 8;
    mlstm.heads = 2;
    mlstm.draw(state);
    mlstm.forward();
    mlstm.forwardBackward();
  }

  @ParameterizedTest
  @ValueSource(strings = {"vector", "scalar"})
  void convolution_and_feed_forward_run(String twin) {
    state(twin);
    var conv = new CausalConvBenchmark();
    conv.batch = 2;
    conv.length = 3;
    conv.channels = 5;
    conv.taps = 4;
    conv.draw(state);
    conv.forwardBackward();
    var feedForward = new GatedFeedForwardBenchmark();
    feedForward.rows = 3;
    feedForward.width = 5;
    feedForward.draw(state);
    feedForward.forwardBackward();
  }

  @ParameterizedTest
  @CsvSource({"vector, 8/4", "scalar, 8/4", "vector, 128/32", "scalar, 128/32"})
  void the_headwise_product_runs(String twin, String widths) {
    var headwise = new HeadwiseBenchmark();
    headwise.positions = 3;
    headwise.widths = widths;
    headwise.draw(state(twin));
    headwise.forwardBackward();
  }

  @ParameterizedTest
  @CsvSource({
    "vector, plain, 4x8",
    "vector, weighted, 1x32",
    "vector, gated, 4x8",
    "scalar, plain, 4x8",
    "scalar, weighted, 1x32",
    "scalar, gated, 4x8"
  })
  void the_norms_run(String twin, String form, String width) {
    var norm = new HeadNormBenchmark();
    norm.rows = 3;
    norm.form = form;
    norm.width = width;
    norm.draw(state(twin));
    norm.forwardBackward();
  }

  @ParameterizedTest
  @ValueSource(strings = {"vector", "scalar"})
  void projections_and_sums_run(String twin) {
    state(twin);
    var linear = new LinearBenchmark();
    linear.sizes = "3,5,7";
    linear.draw(state);
    linear.forwardBackward();
    var elementwise = new ElementwiseBenchmark();
    elementwise.count = 17;
    elementwise.draw(state);
    elementwise.add();
    elementwise.multiplyAdd();
  }

  @Test
  void the_twins_of_the_matrix_product_agree() {
    var vector = new MatrixProductBenchmark();
    vector.size = 7;
    vector.draw();
    var scalar = new MatrixProductBenchmark();
    scalar.size = 7;
    scalar.twin = "scalar";
    scalar.draw();
    assertThat(vector.transposedLeft().data())
        .usingElementComparator((a, b) -> Math.abs(a - b) < 1e-4f ? 0 : Float.compare(a, b))
        .containsExactly(scalar.transposedLeft().data());
  }
}
