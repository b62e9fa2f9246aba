package io.xlstm4j.bench.jmh;

import io.xlstm4j.bench.NativeFloats;
import io.xlstm4j.kernels.Kernels;
import java.lang.foreign.Arena;
import java.util.Random;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/// Kernels of either kind on all processors, and memory, which goes with the process of a trial.
@State(Scope.Benchmark)
public class KernelState {
  private static final long SEED = 1;

  /// `vector`, or `scalar`: the plain loops that define the kernel.
  @Param({"vector", "scalar"})
  public String implementation = "vector";

  /// Threads; 0 for one on each processor.
  @Param("0")
  public int threads;

  private Kernels kernels;
  private NativeFloats floats;

  /// Opens all.
  @Setup(Level.Trial)
  public void open() {
    int count = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    kernels = Kernels.with(count, isVector());
    floats = new NativeFloats(Arena.ofAuto(), new Random(SEED));
  }

  /// Ends the threads.
  @TearDown(Level.Trial)
  public void close() {
    kernels.threads().close();
  }

  boolean isVector() {
    return switch (implementation) {
      case "vector" -> true;
      case "scalar" -> false;
      default ->
          throw new IllegalArgumentException(
              "implementation (" + implementation + ") must be vector or scalar");
    };
  }

  Kernels kernels() {
    return kernels;
  }

  NativeFloats floats() {
    return floats;
  }
}
