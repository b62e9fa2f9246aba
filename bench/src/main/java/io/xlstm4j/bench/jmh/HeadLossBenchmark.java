package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.CrossEntropyKernel;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.block.HeadLossKernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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

/// Cross entropy over logits, alone and with the head of a language model before it.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class HeadLossBenchmark {
  private static final float CAP = 30;

  /// B x S.
  @Param("2048")
  public int rows;

  /// D.
  @Param("128")
  public int dim;

  /// V.
  @Param({"256", "4096"})
  public int classes;

  /// True if logits are capped.
  @Param({"false", "true"})
  public boolean capped;

  private Kernels kernels;
  private HeadLossKernel.Size size;
  private CrossEntropyKernel.Size entropy;
  private MemorySegment hidden;
  private MemorySegment w;
  private MemorySegment targets;
  private MemorySegment scratch;
  private HeadLossKernel.Gradients gradients;
  private StridedMatrix logits;
  private MemorySegment losses;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    NativeFloats floats = state.floats();
    kernels = state.kernels();
    size = new HeadLossKernel.Size(rows, dim, classes, capped ? CAP : 0);
    entropy = new CrossEntropyKernel.Size(rows, classes);
    hidden = floats.gaussian((long) rows * dim, 1);
    w = floats.gaussian((long) classes * dim, 0.1);
    targets = floats.bytes((long) rows * Long.BYTES);
    for (int row = 0; row < rows; row++) {
      targets.setAtIndex(ValueLayout.JAVA_LONG, row, floats.random().nextInt(classes));
    }
    scratch = floats.bytes(new HeadLossKernel(kernels).scratchBytes(size));
    gradients =
        new HeadLossKernel.Gradients(
            floats.zeros((long) rows * dim), floats.zeros((long) classes * dim), 1f / rows);
    logits = new StridedMatrix(floats.gaussian((long) rows * classes, 1), classes);
    losses = floats.bytes((long) rows * Double.BYTES);
  }

  /// The loss of given logits.
  @Benchmark
  public void crossEntropy() {
    kernels.crossEntropy().losses(entropy, logits, targets, losses, kernels.threads());
  }

  /// The loss of hidden states.
  @Benchmark
  public double forward() {
    return new HeadLossKernel(kernels).loss(size, hidden, w, targets, scratch);
  }

  /// And the gradients of hidden states and head.
  @Benchmark
  public double forwardBackward() {
    return new HeadLossKernel(kernels)
        .lossAndGradients(size, hidden, w, targets, scratch, gradients);
  }
}
