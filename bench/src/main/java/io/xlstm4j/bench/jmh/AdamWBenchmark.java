package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.AdamWKernel;
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

/// A step of AdamW for one parameter, and the norm of its gradient.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class AdamWBenchmark {
  private static final AdamWKernel.Step STEP =
      new AdamWKernel.Step(0.5f, 0.9999f, 1e-3f, 0.9f, 0.95f, 0.5f, 1e-8f);

  /// Elements of the parameter.
  @Param({"256", "65536"})
  public int count;

  private AdamWKernel kernel;
  private MemorySegment parameter;
  private MemorySegment gradient;
  private MemorySegment mean;
  private MemorySegment square;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw(KernelState state) {
    NativeFloats floats = state.floats();
    kernel = state.kernels().adamW();
    parameter = floats.gaussian(count, 0.1);
    gradient = floats.gaussian(count, 1);
    mean = floats.zeros(count);
    square = floats.zeros(count);
  }

  /// Parameter and moments.
  @Benchmark
  public void update() {
    kernel.update(STEP, parameter, gradient, mean, square);
  }

  /// The norm that clipping needs.
  @Benchmark
  public double sumOfSquares() {
    return kernel.sumOfSquares(gradient);
  }
}
