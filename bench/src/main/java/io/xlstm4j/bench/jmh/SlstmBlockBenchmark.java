package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.block.SlstmBlockKernel;
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

/// A whole sLSTM block of the paper family with its feed-forward.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 5, time = 2)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class SlstmBlockBenchmark {
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

  private SlstmBlockKernel.Size size;
  private SlstmBlockKernel kernel;
  private SlstmBlockKernel.Weights weights;
  private SlstmBlockKernel.Weights dWeights;
  private SlstmBlockKernel.Inputs inputs;
  private SlstmBlockKernel.State last;
  private SlstmBlockKernel.State dInitial;
  private MemorySegment saved;
  private MemorySegment forwardScratch;
  private MemorySegment backwardScratch;
  private MemorySegment out;
  private MemorySegment dOut;
  private MemorySegment dx;

  /// U.
  @Param("192")
  public int up;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    NativeFloats floats = state.floats();
    kernel = new SlstmBlockKernel(state.kernels());
    size = new SlstmBlockKernel.Size(batch, length, dim, heads, TAPS, up, EPSILON);
    weights = weights(floats);
    dWeights = weights(floats);
    long values = (long) batch * length * dim;
    inputs =
        new SlstmBlockKernel.Inputs(
            floats.gaussian(values, 1), state(floats), null, null, null, null);
    last = state(floats);
    dInitial = state(floats);
    saved = floats.bytes(kernel.savedBytes(size));
    forwardScratch = floats.bytes(kernel.forwardScratchBytes(size));
    backwardScratch = floats.bytes(kernel.backwardScratchBytes(size, false));
    out = floats.zeros(values);
    dOut = floats.filled(values, 1);
    dx = floats.zeros(values);
  }

  private SlstmBlockKernel.Weights weights(NativeFloats floats) {
    long gate = (long) dim * (dim / heads);
    return new SlstmBlockKernel.Weights(
        floats.gaussian(dim, 0.1),
        floats.gaussian((long) dim * TAPS, 0.3),
        floats.gaussian(dim, 0.1),
        floats.gaussian(gate, 0.1),
        floats.gaussian(gate, 0.1),
        floats.gaussian(gate, 0.1),
        floats.gaussian(gate, 0.1),
        floats.gaussian(4 * gate, 0.1),
        floats.gaussian(4L * dim, 1),
        floats.gaussian(dim, 0.1),
        new SlstmBlockKernel.FeedForward(
            floats.gaussian(dim, 0.1),
            floats.gaussian(2L * up * dim, 0.1),
            floats.gaussian((long) dim * up, 0.1)));
  }

  /// The state of new sequences.
  private SlstmBlockKernel.State state(NativeFloats floats) {
    long units = (long) batch * dim;
    return new SlstmBlockKernel.State(
        floats.zeros(units * (TAPS - 1)),
        new SlstmKernel.State(
            floats.zeros(units), floats.zeros(units), floats.zeros(units), floats.zeros(units)));
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
