package io.xlstm4j.bench;

import static org.bytedeco.pytorch.global.torch.mm;
import static org.bytedeco.pytorch.global.torch.mm_out;
import static org.bytedeco.pytorch.global.torch.randn;

import io.xlstm4j.kernels.GemmKernel;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.torch.Torch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;

/// The speed of matrix products on this machine, an upper bound for any step.
final class Gemm implements Benchmark {
  private static final int LARGE = 1024;

  @Override
  public String name() {
    return "gemm";
  }

  @Override
  public String description() {
    return "square matrix products: libtorch, ours on all threads, ours on one";
  }

  @Override
  public double warmupSeconds() {
    return 2;
  }

  @Override
  public List<Case> cases(Setting setting) {
    var cases = new ArrayList<Case>();
    String large = caseName(LARGE);
    cases.add(
        new Case(
            large, () -> measurement(large, Torch.threads(), LARGE, libtorch(setting.timing()))));
    String linear = large + ", own linear kernel";
    int workers = Kernels.shared().threads().count();
    cases.add(
        new Case(
            linear,
            () ->
                measurement(linear, workers, LARGE, linear(setting.timing()))
                    .with(Comparison.BESIDE, large)));
    for (int size : new int[] {64, 256, LARGE}) {
      String name = caseName(size) + ", own small kernel";
      cases.add(new Case(name, () -> measurement(name, 1, size, own(size, setting.timing()))));
    }
    return List.copyOf(cases);
  }

  /// The rate of the 1,024 x 1,024 product by libtorch on all its threads, by its shortest run:
  /// what the machine can do, not what else it did.
  static double libtorchGflopPerSecond(Timing timing) {
    return gflopPerSecond(LARGE, libtorch(timing).bestMs());
  }

  private static String caseName(int size) {
    return "matrix product " + size + " x " + size;
  }

  private static Measurement measurement(String name, int threads, int size, Timing.Result timed) {
    var sizes = new LinkedHashMap<String, Object>();
    sizes.put("M", size);
    sizes.put("N", size);
    sizes.put("K", size);
    return Measurement.of(name, threads, timed, sizes)
        .with("gflop_per_s", gflopPerSecond(size, timed.ms()));
  }

  private static double gflopPerSecond(int size, double ms) {
    return 2.0 * size * size * size / ms / 1e6;
  }

  private static Timing.Result libtorch(Timing timing) {
    Torch.seed(0);
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      Tensor a = randn(LARGE, LARGE);
      Tensor b = randn(LARGE, LARGE);
      Tensor c = mm(a, b);
      return nativeTiming(timing)
          .measure(() -> {
            try (var _ = new PointerScope()) {
              mm_out(c, a, b);
            }
          });
    }
  }

  /// Nothing is to be compiled there: a second of warm-up is enough.
  private static Timing nativeTiming(Timing timing) {
    return new Timing(timing.reps(), Math.min(1, timing.warmupSeconds()), timing.leastSeconds());
  }

  private static Timing.Result linear(Timing timing) {
    try (Arena arena = Arena.ofShared()) {
      var floats = new NativeFloats(arena, new Random(0));
      long count = (long) LARGE * LARGE;
      var x = new StridedMatrix(floats.gaussian(count, 1), LARGE);
      MemorySegment w = floats.gaussian(count, 1);
      var y = new StridedMatrix(floats.zeros(count), LARGE);
      var size = new LinearKernel.Size(LARGE, LARGE, LARGE);
      Kernels kernels = Kernels.shared();
      return timing.measure(
          () -> kernels.linear().forward(size, x, w, null, null, y, kernels.threads()));
    }
  }

  private static Timing.Result own(int size, Timing timing) {
    var random = new Random(size);
    GemmKernel.Block a = block(random, size);
    GemmKernel.Block b = block(random, size);
    GemmKernel.Block c = block(random, size);
    GemmKernel product = Kernels.shared().matrixProduct();
    return timing.measure(() -> product.multiply(size, size, size, a, b, c, false));
  }

  private static GemmKernel.Block block(Random random, int size) {
    var data = new float[size * size];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) random.nextGaussian();
    }
    return new GemmKernel.Block(data, 0, size);
  }
}
