package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.GatedFeedForwardKernel;
import io.xlstm4j.kernels.Kernels;
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

/// The activation of the gated feed-forward.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class GatedFeedForwardBenchmark {
  /// B x S.
  @Param("2048")
  public int rows;

  /// U, of a block of width 128.
  @Param("192")
  public int width;

  private Kernels kernels;
  private GatedFeedForwardKernel.Size size;
  private MemorySegment both;
  private MemorySegment out;
  private MemorySegment dOut;
  private MemorySegment dBoth;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    kernels = state.kernels();
    NativeFloats floats = state.floats();
    size = new GatedFeedForwardKernel.Size(rows, width);
    long count = (long) rows * width;
    both = floats.gaussian(2 * count, 1);
    out = floats.zeros(count);
    dOut = floats.gaussian(count, 1);
    dBoth = floats.zeros(2 * count);
  }

  /// Outputs.
  @Benchmark
  public void forward() {
    kernels.gatedFeedForward().forward(size, both, out, kernels.threads());
  }

  /// And the gradient.
  @Benchmark
  public void forwardBackward() {
    forward();
    kernels.gatedFeedForward().backward(size, both, dOut, dBoth, kernels.threads());
  }
}
