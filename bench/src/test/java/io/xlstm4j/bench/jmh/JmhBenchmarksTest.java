package io.xlstm4j.bench.jmh;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.Kernels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Each JMH benchmark once, at a small size; their memory fits the kernels, or these would throw.
class JmhBenchmarksTest {
  private final KernelState state = new KernelState();

  private KernelState state(String implementation) {
    state.implementation = implementation;
    state.threads = 2;
    state.open();
    assertThat(state.kernels().vectorized()).isEqualTo(implementation.equals("vector"));
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
  void the_cells_run(String implementation) {
    state(implementation);
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
  void the_whole_blocks_run(String implementation) {
    state(implementation);
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
  @CsvSource({"vector, 4", "scalar, 4", "vector, 2", "scalar, 2"})
  void the_cell_with_its_projections_runs(String implementation, int blockSize) {
    var mlstm = new ProjectedMlstmBenchmark();
    mlstm.batch = 2;
    mlstm.length = 3;
    mlstm.heads = 2;
    mlstm.headDim = 12;
    mlstm.blockSize = blockSize;
    mlstm.draw(state(implementation));
    mlstm.forward();
    mlstm.forwardBackward();
  }

  @ParameterizedTest
  @ValueSource(strings = {"vector", "scalar"})
  void a_block_of_the_large_family_runs(String implementation) {
    var block = new LargeBlockBenchmark();
    block.batch = 2;
    block.length = 3;
    block.dim = 8;
    block.heads = 2;
    block.up = 6;
    block.draw(state(implementation));
    block.forward();
    block.forwardBackward();
  }

  @ParameterizedTest
  @CsvSource({"vector, false", "vector, true", "scalar, false", "scalar, true"})
  void head_and_loss_run(String implementation, boolean capped) {
    var head = new HeadLossBenchmark();
    head.rows = 3;
    head.dim = 5;
    head.classes = 7;
    head.capped = capped;
    head.draw(state(implementation));
    head.crossEntropy();
    assertThat(head.forwardBackward()).isPositive().isEqualTo(head.forward());
  }

  @ParameterizedTest
  @ValueSource(strings = {"vector", "scalar"})
  void the_optimizer_runs(String implementation) {
    var adamW = new AdamWBenchmark();
    adamW.count = 19;
    adamW.draw(state(implementation));
    adamW.update();
    assertThat(adamW.sumOfSquares()).isPositive();
  }

  /// By the source: a benchmark of a kernel asks for it by its name.
  @Test
  void every_kernel_of_training_has_a_benchmark() throws IOException {
    var sources = new StringBuilder();
    Path folder = Path.of("src/main/java/io/xlstm4j/bench/jmh");
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        sources.append(Files.readString(file));
      }
    }
    List<String> kernels =
        Arrays.stream(Kernels.class.getMethods())
            .filter(method -> method.getReturnType().getSimpleName().endsWith("Kernel"))
            .map(method -> method.getName())
            .filter(name -> !name.equals("storedLinear")) // of inference: `bench decode prefill`
            .toList();
    assertThat(kernels).contains("adamW", "mlstm");
    assertThat(kernels).allSatisfy(name -> assertThat(sources).contains("." + name + "()"));
    assertThat(blockKernels())
        .contains("MlstmBlockKernel", "HeadLossKernel")
        .allSatisfy(name -> assertThat(sources).contains("new " + name + "("));
  }

  /// The classes of package `kernels.block` that are made of [Kernels].
  private static List<String> blockKernels() throws IOException {
    Path folder = Path.of("../kernels/src/main/java/io/xlstm4j/kernels/block");
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString().replace(".java", ""))
          .filter(name -> name.endsWith("Kernel") && !name.equals("LayerKernel"))
          .toList();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"vector", "scalar"})
  void convolution_and_feed_forward_run(String implementation) {
    state(implementation);
    var conv = new CausalConvBenchmark();
    conv.batch = 2;
    conv.length = 3;
    conv.channels = 5;
    conv.kernelSize = 4;
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
  void the_headwise_product_runs(String implementation, String widths) {
    var headwise = new HeadwiseBenchmark();
    headwise.positions = 3;
    headwise.widths = widths;
    headwise.draw(state(implementation));
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
  void the_norms_run(String implementation, String form, String width) {
    var norm = new HeadNormBenchmark();
    norm.rows = 3;
    norm.form = form;
    norm.width = width;
    norm.draw(state(implementation));
    norm.forwardBackward();
  }

  @ParameterizedTest
  @ValueSource(strings = {"vector", "scalar"})
  void projections_and_sums_run(String implementation) {
    state(implementation);
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
    var vector = new GemmBenchmark();
    vector.size = 7;
    vector.draw();
    var scalar = new GemmBenchmark();
    scalar.size = 7;
    scalar.implementation = "scalar";
    scalar.draw();
    assertThat(vector.transposedLeft().data())
        .usingElementComparator((a, b) -> Math.abs(a - b) < 1e-4f ? 0 : Float.compare(a, b))
        .containsExactly(scalar.transposedLeft().data());
  }
}
