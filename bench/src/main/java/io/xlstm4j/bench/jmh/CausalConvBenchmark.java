package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.CausalConvKernel;
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

/// The causal convolution with its SiLU.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class CausalConvBenchmark {
  /// B.
  @Param("8")
  public int batch;

  /// S.
  @Param("256")
  public int length;

  /// C: of an sLSTM layer of width 128, of an mLSTM layer of width 128.
  @Param({"128", "256"})
  public int channels;

  /// K.
  @Param("4")
  public int kernelSize;

  private Kernels kernels;
  private CausalConvKernel.Size size;
  private CausalConvKernel.Inputs inputs;
  private MemorySegment y;
  private MemorySegment lastTail;
  private MemorySegment dy;
  private CausalConvKernel.Gradients gradients;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    kernels = state.kernels();
    NativeFloats floats = state.floats();
    size = new CausalConvKernel.Size(batch, length, channels, kernelSize);
    long tokens = (long) batch * length * channels;
    long tail = (long) batch * (kernelSize - 1) * channels;
    inputs =
        new CausalConvKernel.Inputs(
            floats.gaussian(tokens, 1),
            floats.gaussian((long) channels * kernelSize, 0.5),
            floats.gaussian(channels, 0.5),
            floats.zeros(tail),
            null,
            null);
    y = floats.zeros(tokens);
    lastTail = floats.zeros(tail);
    dy = floats.gaussian(tokens, 1);
    gradients =
        new CausalConvKernel.Gradients(
            floats.zeros(tokens),
            floats.zeros((long) channels * kernelSize),
            floats.zeros(channels),
            floats.zeros(tail));
  }

  /// Outputs and the next tail.
  @Benchmark
  public void forward() {
    kernels.causalConv().forward(size, inputs, y, lastTail, kernels.threads());
  }

  /// And every gradient.
  @Benchmark
  public void forwardBackward() {
    forward();
    kernels.causalConv().backward(size, inputs, dy, null, gradients, kernels.threads());
  }
}
