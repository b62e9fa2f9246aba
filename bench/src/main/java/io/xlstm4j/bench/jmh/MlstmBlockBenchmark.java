package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.block.MlstmBlockKernel;
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

/// A whole mLSTM block of the paper family: inner width 2 D, q, k and v in blocks of 4.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 5, time = 2)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class MlstmBlockBenchmark {
  private static final int TAPS = 4;
  private static final float EPSILON = 1e-5f;

  /// B.
  @Param("8")
  public int batch;

  /// S.
  @Param("256")
  public int length;

  /// D.
  @Param("128")
  public int dim;

  /// NH.
  @Param("4")
  public int heads;

  private MlstmBlockKernel.Size size;
  private MlstmBlockKernel kernel;
  private MlstmBlockKernel.Weights weights;
  private MlstmBlockKernel.Weights dWeights;
  private MlstmBlockKernel.Inputs inputs;
  private MlstmBlockKernel.State last;
  private MlstmBlockKernel.StateGradient dInitial;
  private MemorySegment saved;
  private MemorySegment forwardScratch;
  private MemorySegment backwardScratch;
  private MemorySegment out;
  private MemorySegment dOut;
  private MemorySegment dx;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    NativeFloats floats = state.floats();
    kernel = new MlstmBlockKernel(state.kernels());
    size = new MlstmBlockKernel.Size(batch, length, dim, 2 * dim, heads, TAPS, 4, EPSILON);
    weights = weights(floats);
    dWeights = weights(floats);
    long values = (long) batch * length * dim;
    inputs =
        new MlstmBlockKernel.Inputs(floats.gaussian(values, 1), state(floats), null, null, null);
    last = state(floats);
    MlstmBlockKernel.State d = state(floats);
    dInitial =
        new MlstmBlockKernel.StateGradient(
            d.conv(), new MlstmStateGradient(d.cell().c(), d.cell().n()));
    saved = floats.bytes(kernel.savedBytes(size));
    forwardScratch = floats.bytes(kernel.forwardScratchBytes(size));
    backwardScratch = floats.bytes(kernel.backwardScratchBytes(size, false));
    out = floats.zeros(values);
    dOut = floats.filled(values, 1);
    dx = floats.zeros(values);
  }

  private MlstmBlockKernel.Weights weights(NativeFloats floats) {
    long inner = 2L * dim;
    return new MlstmBlockKernel.Weights(
        floats.gaussian(dim, 0.1),
        floats.gaussian(2 * inner * dim, 0.1),
        floats.gaussian(inner * TAPS, 0.3),
        floats.gaussian(inner, 0.1),
        floats.gaussian(inner * 4, 0.3),
        floats.gaussian(inner * 4, 0.3),
        floats.gaussian(inner * 4, 0.3),
        floats.gaussian(3L * heads * inner, 0.01),
        floats.gaussian(heads, 1),
        floats.gaussian(3L * heads * inner, 0.01),
        floats.gaussian(heads, 3),
        floats.gaussian(inner, 0.1),
        floats.gaussian(inner, 1),
        floats.gaussian(dim * inner, 0.1));
  }

  /// The state of new sequences.
  private MlstmBlockKernel.State state(NativeFloats floats) {
    long inner = 2L * dim;
    long head = inner / heads;
    return new MlstmBlockKernel.State(
        floats.zeros((TAPS - 1) * inner * batch),
        new MlstmState(
            floats.zeros(batch * inner * head),
            floats.zeros(batch * inner),
            floats.zeros((long) batch * heads)));
  }

  /// Outputs and state alone.
  @Benchmark
  public void forward() {
    kernel.forward(size, weights, inputs, saved, forwardScratch, false, out, last);
  }

  /// And every gradient.
  @Benchmark
  public void forwardBackward() {
    kernel.forward(size, weights, inputs, saved, forwardScratch, true, out, last);
    kernel.backward(
        size, weights, inputs, saved, backwardScratch, dOut, null, dx, dWeights, dInitial);
  }
}
