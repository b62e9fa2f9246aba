package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.HeadwiseKernel;
import io.xlstm4j.kernels.HeadwiseShape;
import io.xlstm4j.kernels.StridedMatrix;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/// The projection by blocks: narrow ones as in q, k, v of the mLSTM layer, wide ones as in the
/// gates of the sLSTM layer.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class HeadwiseBenchmark {
  /// B x S.
  @Param("2048")
  public int positions;

  /// Width of all blocks together, and of one block.
  @Param({"256/4", "512/8", "128/32", "512/32", "1024/4"})
  public String widths = "256/4";

  private HeadwiseKernel kernel;
  private HeadwiseShape shape;
  private StridedMatrix x;
  private MemorySegment w;
  private StridedMatrix y;
  private StridedMatrix dy;
  private StridedMatrix dx;
  private MemorySegment dw;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    int slash = widths.indexOf('/');
    int all = Integer.parseInt(widths.substring(0, slash));
    int block = Integer.parseInt(widths.substring(slash + 1));
    NativeFloats floats = state.floats();
    kernel = state.kernels().headwise();
    shape = new HeadwiseShape(positions, all / block, block, block);
    long count = (long) positions * all;
    x = new StridedMatrix(floats.gaussian(count, 1), all);
    w = floats.gaussian((long) all * block, 0.5);
    y = new StridedMatrix(floats.zeros(count), all);
    dy = new StridedMatrix(floats.gaussian(count, 1), all);
    dx = new StridedMatrix(floats.zeros(count), all);
    dw = floats.zeros((long) all * block);
  }

  /// The product.
  @Benchmark
  public void forward() {
    kernel.forward(shape, x, w, y);
  }

  /// And the gradients of inputs and weights.
  @Benchmark
  public void forwardBackward() {
    forward();
    kernel.backward(shape, x, w, dy, dx, false, dw);
  }
}
