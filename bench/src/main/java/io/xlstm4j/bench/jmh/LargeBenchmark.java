package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.ScaledNormKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.SwiGluKernel;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
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

/// The layers around the cells of the Large family: norms, soft cap, SwiGLU; each forward and
/// backward.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class LargeBenchmark {
  private static final int HEADS = 4;
  private static final float EPSILON = 1e-6f;
  private static final float CAP = 15;

  /// B x S.
  @Param("2048")
  public int rows;

  /// D, V and U.
  @Param("128")
  public int width;

  private Kernels kernels;
  private MemorySegment x;
  private MemorySegment dOut;
  private MemorySegment both;
  private MemorySegment out;
  private MemorySegment dx;
  private MemorySegment dBoth;
  private MemorySegment weight;
  private MemorySegment dWeight;
  private MemorySegment statistics;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    kernels = state.kernels();
    NativeFloats floats = state.floats();
    long count = (long) rows * width;
    x = floats.gaussian(count, 1);
    dOut = floats.gaussian(count, 1);
    both = floats.gaussian(2 * count, 1);
    out = floats.zeros(count);
    dx = floats.zeros(count);
    dBoth = floats.zeros(2 * count);
    weight = floats.gaussian(width, 1);
    dWeight = floats.zeros(width);
    statistics = floats.zeros(2L * rows * HEADS);
  }

  /// RMSNorm.
  @Benchmark
  public void rmsNorm() {
    norm(new ScaledNormKernel.Size(rows, 1, width, false, EPSILON), null, null);
  }

  /// The norm of each head and its output gate.
  @Benchmark
  public void gatedHeadNorm() {
    norm(
        new ScaledNormKernel.Size(rows, HEADS, width / HEADS, true, EPSILON),
        new StridedMatrix(both, 2 * width),
        new StridedMatrix(dBoth, 2 * width));
  }

  private void norm(
      ScaledNormKernel.Size size, @Nullable StridedMatrix gate, @Nullable StridedMatrix dGate) {
    var inputs = new ScaledNormKernel.Inputs(x, weight, gate);
    MemorySegment sums = statistics.asSlice(0, 2L * rows * size.heads() * Float.BYTES);
    kernels.scaledNorm().forward(size, inputs, out, sums, kernels.threads());
    var gradients = new ScaledNormKernel.Gradients(dx, dWeight, dGate, null);
    kernels.scaledNorm().backward(size, inputs, sums, dOut, gradients, kernels.threads());
  }

  /// The soft cap.
  @Benchmark
  public void softCap() {
    kernels.softCap().forward(CAP, x, out, kernels.threads());
    kernels.softCap().backward(CAP, out, dOut, dx, kernels.threads());
  }

  /// The feed-forward's activation.
  @Benchmark
  public void swiGlu() {
    var size = new SwiGluKernel.Size(rows, width);
    kernels.swiGlu().forward(size, both, out, kernels.threads());
    kernels.swiGlu().backward(size, both, dOut, dBoth, kernels.threads());
  }
}
