package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
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

/// The dense projection: up and down in an mLSTM block of width 128, its gates, up and down in the
/// feed-forward of an sLSTM block, and a large square one.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class LinearBenchmark {
  /// Rows, I, O.
  @Param({
    "2048,128,256",
    "2048,256,128",
    "2048,256,8",
    "2048,128,384",
    "2048,192,128",
    "1024,1024,1024"
  })
  public String sizes = "2048,128,256";

  private Kernels kernels;
  private LinearKernel.Size size;
  private StridedMatrix x;
  private MemorySegment w;
  private StridedMatrix y;
  private StridedMatrix dy;
  private StridedMatrix dx;
  private MemorySegment dw;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    String[] numbers = sizes.split(",", -1);
    int rows = Integer.parseInt(numbers[0]);
    int in = Integer.parseInt(numbers[1]);
    int out = Integer.parseInt(numbers[2]);
    kernels = state.kernels();
    NativeFloats floats = state.floats();
    size = new LinearKernel.Size(rows, in, out);
    x = new StridedMatrix(floats.gaussian((long) rows * in, 1), in);
    w = floats.gaussian((long) in * out, 0.1);
    y = new StridedMatrix(floats.zeros((long) rows * out), out);
    dy = new StridedMatrix(floats.gaussian((long) rows * out, 1), out);
    dx = new StridedMatrix(floats.zeros((long) rows * in), in);
    dw = floats.zeros((long) in * out);
  }

  /// x Wᵀ.
  @Benchmark
  public void forward() {
    kernels.linear().forward(size, x, w, null, null, y, kernels.threads());
  }

  /// And the gradients of inputs and weights.
  @Benchmark
  public void forwardBackward() {
    forward();
    kernels.linear().backwardInput(size, dy, w, null, dx, kernels.threads());
    kernels.linear().backwardWeight(size, x, dy, dw, null, kernels.threads());
  }
}
