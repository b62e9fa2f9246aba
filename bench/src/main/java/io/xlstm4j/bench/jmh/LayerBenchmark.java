package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.block.LayerKernel;
import io.xlstm4j.kernels.block.MlstmLayerKernel;
import io.xlstm4j.kernels.block.SlstmLayerKernel;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
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

/// Whole layers of the README, a sequence or a step.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 5, time = 2)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class LayerBenchmark {
  private static final int BATCH = 8;
  private static final int HEADS = 4;
  private static final int TAPS = 4;
  private static final float EPSILON = 1e-5f;

  /// The layer.
  @Param({"slstm", "mlstm"})
  public String layer = "slstm";

  /// S; 1 is a step.
  @Param({"1", "255"})
  public int length;

  /// D, and the width of all heads.
  @Param("128")
  public int width;

  private LayerKernel kernel;
  private LayerKernel.Call call;
  private List<MemorySegment> parameters;
  private List<MemorySegment> dParameters;
  private LayerKernel.Ready ready;
  private MemorySegment saved;
  private MemorySegment forwardScratch;
  private MemorySegment backwardScratch;
  private MemorySegment out;
  private MemorySegment last;
  private MemorySegment dOut;
  private MemorySegment dx;
  private MemorySegment dInitial;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    NativeFloats floats = state.floats();
    kernel = layer(length == 1 ? state.kernels().singleThreaded() : state.kernels());
    parameters =
        Arrays.stream(kernel.parameterFloats())
            .mapToObj(count -> floats.gaussian(count, 0.1))
            .toList();
    dParameters = Arrays.stream(kernel.parameterFloats()).mapToObj(floats::zeros).toList();
    ready = kernel.ready(parameters, bytes(floats, kernel.readyScratchBytes()));
    long count = (long) BATCH * length * width;
    long states = kernel.stateFloats(BATCH);
    call =
        new LayerKernel.Call(
            BATCH, length, floats.gaussian(count, 1), floats.zeros(states), null, null);
    saved = bytes(floats, kernel.savedBytes(BATCH, length));
    forwardScratch = bytes(floats, kernel.forwardScratchBytes(BATCH, length));
    backwardScratch = bytes(floats, kernel.backwardScratchBytes(BATCH, length));
    out = floats.zeros(count);
    last = floats.zeros(states);
    dOut = floats.gaussian(count, 1);
    dx = floats.zeros(count);
    dInitial = floats.zeros(states);
  }

  private LayerKernel layer(Kernels kernels) {
    int headDim = width / HEADS;
    return switch (layer) {
      case "slstm" ->
          new SlstmLayerKernel(
              kernels,
              new SlstmLayerKernel.Dims(width, HEADS, headDim, width * 4 / 3, TAPS, EPSILON));
      case "mlstm" ->
          new MlstmLayerKernel(
              kernels, new MlstmLayerKernel.Dims(width, 2 * width, HEADS, headDim, TAPS, EPSILON));
      default -> throw new IllegalArgumentException("layer (" + layer + ") must be slstm or mlstm");
    };
  }

  private static MemorySegment bytes(NativeFloats floats, long count) {
    return floats.zeros(Math.ceilDiv(count, Float.BYTES));
  }

  /// Outputs and state.
  @Benchmark
  public void forward() {
    kernel.forward(call, parameters, ready, saved, forwardScratch, true, out, last);
  }

  /// And all gradients.
  @Benchmark
  public void forwardBackward() {
    forward();
    kernel.backward(
        call, parameters, saved, backwardScratch, dOut, null, dx, dParameters, dInitial);
  }
}
