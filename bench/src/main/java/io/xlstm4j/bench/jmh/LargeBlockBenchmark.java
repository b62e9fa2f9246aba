package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.block.LargeBlockKernel;
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

/// A whole block of the Large family: queries and keys half as wide as values.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class LargeBlockBenchmark {
  private static final float GATE_CAP = 15;
  private static final float EPSILON = 1e-6f;

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

  /// U of the feed-forward.
  @Param("384")
  public int up;

  private LargeBlockKernel kernel;
  private LargeBlockKernel.Size size;
  private LargeBlockKernel.Weights weights;
  private LargeBlockKernel.Weights dWeights;
  private LargeBlockKernel.Inputs inputs;
  private MlstmState last;
  private MlstmStateGradient dInitial;
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
    kernel = new LargeBlockKernel(state.kernels());
    size =
        new LargeBlockKernel.Size(batch, length, dim, dim / 2, dim, heads, up, GATE_CAP, EPSILON);
    weights = weights(floats);
    dWeights = weights(floats);
    long values = (long) batch * length * dim;
    inputs = new LargeBlockKernel.Inputs(floats.gaussian(values, 1), state(floats), null, null);
    last = state(floats);
    MlstmState d = state(floats);
    dInitial = new MlstmStateGradient(d.c(), d.n());
    saved = floats.bytes(kernel.savedBytes(size));
    forwardScratch = floats.bytes(kernel.forwardScratchBytes(size));
    backwardScratch = floats.bytes(kernel.backwardScratchBytes(size));
    out = floats.zeros(values);
    dOut = floats.filled(values, 1);
    dx = floats.zeros(values);
  }

  private LargeBlockKernel.Weights weights(NativeFloats floats) {
    long d = dim;
    return new LargeBlockKernel.Weights(
        floats.gaussian(d, 0.1),
        floats.gaussian(3 * d * d, 0.1),
        floats.gaussian(2L * heads * d, 0.1),
        floats.gaussian(2L * heads, 1),
        floats.gaussian(d, 0.1),
        floats.gaussian(d * d, 0.1),
        floats.gaussian(d, 0.1),
        floats.gaussian(2L * up * d, 0.1),
        floats.gaussian(up * d, 0.1));
  }

  /// The state of new sequences.
  private MlstmState state(NativeFloats floats) {
    long keys = (long) batch * dim / 2;
    return new MlstmState(
        floats.zeros(keys * dim / heads), floats.zeros(keys), floats.zeros((long) batch * heads));
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
