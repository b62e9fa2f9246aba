package io.xlstm4j.bench.jmh;

import io.xlstm4j.kernels.GemmKernel;
import io.xlstm4j.kernels.GemmKernel.Block;
import io.xlstm4j.kernels.Kernels;
import java.util.Random;
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

/// Products of square matrices on one thread.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@State(Scope.Benchmark)
public class GemmBenchmark {
  /// M, N and K.
  @Param({"16", "32", "33", "64", "128", "256"})
  public int size;

  /// `vector`, or `scalar`: the plain loops that define the product.
  @Param({"vector", "scalar"})
  public String implementation = "vector";

  private GemmKernel product;
  private Block a;
  private Block b;
  private Block c;

  /// Draws the inputs.
  @Setup(Level.Trial)
  public void draw() {
    product =
        switch (implementation) {
          case "vector" -> Kernels.with(1, true).matrixProduct();
          case "scalar" -> Kernels.with(1, false).matrixProduct();
          default ->
              throw new IllegalArgumentException(
                  "implementation (" + implementation + ") must be vector or scalar");
        };
    var random = new Random(size);
    a = block(random);
    b = block(random);
    c = block(random);
  }

  /// A B.
  @Benchmark
  public Block plain() {
    product.multiply(size, size, size, a, b, c, false);
    return c;
  }

  /// Aᵀ B.
  @Benchmark
  public Block transposedLeft() {
    product.multiplyTransposedLeft(size, size, size, a, b, c, false);
    return c;
  }

  /// A Bᵀ.
  @Benchmark
  public Block transposedRight() {
    product.multiplyTransposedRight(size, size, size, a, b, c, false);
    return c;
  }

  private Block block(Random random) {
    var data = new float[size * size];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) random.nextGaussian();
    }
    return new Block(data, 0, size);
  }
}
