package io.xlstm4j.bench.jmh;

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

/// Sums and products of memory; the residual of a block of width 128.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class ElementwiseBenchmark {
  /// Elements.
  @Param("262144")
  public int count;

  private Kernels kernels;
  private MemorySegment a;
  private MemorySegment b;
  private MemorySegment plus;
  private MemorySegment out;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    kernels = state.kernels();
    a = state.floats().gaussian(count, 1);
    b = state.floats().gaussian(count, 1);
    plus = state.floats().gaussian(count, 1);
    out = state.floats().zeros(count);
  }

  /// a + b.
  @Benchmark
  public void add() {
    kernels.elementwise().add(a, b, out, kernels.threads());
  }

  /// a b + plus.
  @Benchmark
  public void multiplyAdd() {
    kernels.elementwise().multiplyAdd(a, b, plus, out, kernels.threads());
  }
}
