package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.ProjectedMlstmKernel;
import io.xlstm4j.kernels.ProjectedMlstmKernel.Projections;
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

/// The mLSTM cell with the headwise projections before it, as in a block.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class ProjectedMlstmBenchmark {
  /// B.
  @Param("8")
  public int batch;

  /// S.
  @Param("256")
  public int length;

  /// NH.
  @Param("4")
  public int heads;

  /// DH.
  @Param("64")
  public int headDim;

  /// P of the projections: 4 are done within the cell by vectors.
  @Param({"4", "8"})
  public int blockSize;

  private ProjectedMlstmKernel kernel;
  private MlstmShape shape;
  private MlstmInputs inputs;
  private Projections weights;
  private Projections dWeights;
  private MlstmGradients gradients;
  private MlstmState last;
  private StridedMatrix h;
  private StridedMatrix dH;
  private MemorySegment saved;
  private MemorySegment scratch;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    NativeFloats floats = state.floats();
    kernel = state.kernels().projectedMlstm();
    shape = new MlstmShape(batch, length, heads, headDim, headDim);
    int width = heads * headDim;
    long positions = (long) batch * length;
    var convolved = new StridedMatrix(floats.gaussian(positions * width, 1), width);
    var memory = new StridedMatrix(floats.gaussian(positions * width, 1), width);
    var igate = new StridedMatrix(floats.gaussian(positions * heads, 1), heads);
    var fgate = new StridedMatrix(floats.filled(positions * heads, 3), heads);
    inputs = new MlstmInputs(convolved, convolved, memory, igate, fgate, null, null);
    weights = projections(floats, 0.5);
    dWeights = projections(floats, 0);
    var dConvolved = new StridedMatrix(floats.zeros(positions * width), width);
    gradients =
        new MlstmGradients(
            dConvolved,
            dConvolved,
            new StridedMatrix(floats.zeros(positions * width), width),
            new StridedMatrix(floats.zeros(positions * heads), heads),
            new StridedMatrix(floats.zeros(positions * heads), heads));
    long pairs = (long) batch * heads;
    last =
        new MlstmState(
            floats.zeros(pairs * headDim * headDim),
            floats.zeros(pairs * headDim),
            floats.zeros(pairs));
    h = new StridedMatrix(floats.zeros(positions * width), width);
    dH =
        new StridedMatrix(
            floats.gaussian(positions * width, 1e-6), width); // sums go on over all calls
    saved = floats.bytes(kernel.savedBytes(shape));
    scratch = floats.bytes(kernel.scratchBytes(shape, blockSize));
  }

  private Projections projections(NativeFloats floats, double deviation) {
    long count = (long) heads * headDim * blockSize;
    return new Projections(
        blockSize,
        floats.gaussian(count, deviation),
        floats.gaussian(count, deviation),
        floats.gaussian(count, deviation));
  }

  /// Outputs and state alone.
  @Benchmark
  public void forward() {
    kernel.forward(shape, inputs, weights, scratch, null, h, last, null);
  }

  /// And every gradient.
  @Benchmark
  public void forwardBackward() {
    kernel.forward(shape, inputs, weights, scratch, null, h, last, saved);
    kernel.backward(shape, inputs, weights, scratch, h, saved, dH, null, gradients, dWeights, null);
  }
}
