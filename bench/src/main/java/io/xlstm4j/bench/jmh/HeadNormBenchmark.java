package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.HeadNormKernel;
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

/// The norm over each head, in every form that layers use; over one head it is the layer norm.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class HeadNormBenchmark {
  private static final float EPSILON = 1e-5f;

  /// B x S.
  @Param("2048")
  public int rows;

  /// NH x DH, or the width of a layer norm.
  @Param({"4x64", "4x32", "1x128"})
  public String width = "4x64";

  /// Without weight, with weight, or with weight, skip and output gate.
  @Param({"plain", "weighted", "gated"})
  public String form = "plain";

  private Kernels kernels;
  private HeadNormKernel.Size size;
  private HeadNormKernel.Inputs inputs;
  private MemorySegment out;
  private MemorySegment statistics;
  private MemorySegment dOut;
  private HeadNormKernel.Gradients gradients;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    int cross = width.indexOf('x');
    int heads = Integer.parseInt(width.substring(0, cross));
    int headDim = Integer.parseInt(width.substring(cross + 1));
    kernels = state.kernels();
    NativeFloats floats = state.floats();
    size = new HeadNormKernel.Size(rows, heads, headDim);
    long channels = (long) heads * headDim;
    long count = rows * channels;
    boolean weighted = !form.equals("plain");
    boolean gated = form.equals("gated");
    inputs =
        new HeadNormKernel.Inputs(
            floats.gaussian(count, 1),
            weighted ? floats.gaussian(channels, 0.1) : null,
            gated
                ? new HeadNormKernel.Gate(
                    floats.gaussian(channels, 1),
                    floats.gaussian(count, 1),
                    floats.gaussian(count, 1))
                : null,
            EPSILON);
    out = floats.zeros(count);
    statistics = floats.zeros(2L * rows * heads);
    dOut = floats.gaussian(count, 1);
    gradients =
        new HeadNormKernel.Gradients(
            floats.zeros(count),
            weighted ? floats.zeros(channels) : null,
            gated
                ? new HeadNormKernel.Gate(
                    floats.zeros(channels), floats.zeros(count), floats.zeros(count))
                : null,
            null);
  }

  /// Outputs.
  @Benchmark
  public void forward() {
    kernels.headNorm().forward(size, inputs, out, statistics, kernels.threads());
  }

  /// And every gradient.
  @Benchmark
  public void forwardBackward() {
    forward();
    kernels.headNorm().backward(size, inputs, statistics, dOut, gradients, kernels.threads());
  }
}
