package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.SlstmCellWork;
import io.xlstm4j.kernels.SlstmKernel;
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

/// The sLSTM cell over whole sequences.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class SlstmBenchmark {
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
  @Param("32")
  public int headDim;

  private SlstmCellWork cell;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    cell =
        new SlstmCellWork(
            state.kernels().slstm(),
            state.kernels().threads(),
            new SlstmKernel.Size(batch, length, heads, headDim),
            state.floats());
  }

  /// Outputs and state alone.
  @Benchmark
  public void forward() {
    cell.forward();
  }

  /// And every gradient.
  @Benchmark
  public void forwardBackward() {
    cell.forwardAndBackward();
  }
}
