package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.MlstmCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.ProjectedMlstmKernel.Projections;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarHeadwiseKernel;
import io.xlstm4j.kernels.reference.ScalarMlstmKernel;
import io.xlstm4j.kernels.reference.SeparateProjectedMlstmKernel;
import io.xlstm4j.kernels.vector.mlstm.VectorProjectedMlstmKernel;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProjectedMlstmKernelTest {
  private static final KernelThreads ONE = new KernelThreads(1);

  /// Float32 sums over up to 210 positions; the plain kernels compute in double precision.
  private static final double SUMS = 2e-5;

  @ParameterizedTest(name = "{1} heads of {2}, blocks of {3}, length {0}")
  @CsvSource({
    "1, 1, 4, 4",
    "63, 1, 4, 4",
    "64, 3, 8, 4",
    "65, 2, 12, 4",
    "70, 2, 16, 4",
    "70, 1, 20, 4",
    "70, 3, 32, 4",
    "130, 2, 36, 4",
    "70, 2, 64, 4",
    "70, 2, 6, 4", // a block lies in two heads
    "9, 2, 16, 1",
    "9, 2, 16, 2",
    "70, 2, 16, 8",
    "9, 1, 16, 16"
  })
  void projections_within_the_cell_are_those_before_it(
      int length, int heads, int headDim, int blockSize) {
    for (boolean masked : new boolean[] {false, true}) {
      var given = new Case(new MlstmShape(3, length, heads, headDim, headDim), blockSize, masked);
      Map<String, float[]> plain =
          given.run(
              new SeparateProjectedMlstmKernel(
                  new ScalarHeadwiseKernel(), new ScalarMlstmKernel(ONE)));
      assertClose(given.run(new VectorProjectedMlstmKernel(ONE)), plain, SUMS);
    }
  }

  @Test
  void bits_do_not_depend_on_the_threads() {
    var given = new Case(new MlstmShape(4, 150, 2, 20, 20), 4, true);
    Map<String, float[]> expected = given.run(new VectorProjectedMlstmKernel(ONE));
    for (int threadCount = 2; threadCount <= 3; threadCount++) {
      var threads = new KernelThreads(threadCount);
      Map<String, float[]> actual = given.run(new VectorProjectedMlstmKernel(threads));
      threads.close();
      actual.forEach((name, values) -> assertThat(values).as(name).isEqualTo(expected.get(name)));
    }
  }

  @Test
  void blocks_that_do_not_divide_the_heads_are_refused() {
    var given = new Case(new MlstmShape(1, 2, 2, 8, 8), 4, false);
    MemorySegment weight = Floats.of(new double[64]);
    var three = new Projections(3, weight, weight, weight);
    assertThatThrownBy(() -> three.check("weight", given.shape))
        .hasMessage(
            "qkDim (8) and vDim (8) must be equal, and blockSize (3) divide 2 heads of them");
    var few = new Projections(8, weight, weight, weight);
    assertThatThrownBy(() -> few.check("weight", given.shape))
        .hasMessage("weight q must be (NH * DH / P, P, P), 512 bytes; it has 256");
  }

  /// The same memory is in the place of queries and keys, as in a block.
  private static final class Case {
    final MlstmShape shape;
    final int blockSize;
    final byte @Nullable [] valid;
    final byte @Nullable [] starts;

    Case(MlstmShape shape, int blockSize, boolean masked) {
      this.shape = shape;
      this.blockSize = blockSize;
      int positions = shape.batch() * shape.length();
      valid = masked ? new byte[positions] : null;
      starts = masked ? new byte[positions] : null;
      for (int i = 0; i < positions && valid != null && starts != null; i++) {
        int row = i / shape.length(); // the last one is all padding
        int tokens = row == 2 ? 0 : shape.length() - row * shape.length() / 3;
        valid[i] = (byte) (i % shape.length() < tokens ? 1 : 0);
        starts[i] = (byte) (i % 29 == 7 ? 1 : 0);
      }
    }

    Map<String, float[]> run(ProjectedMlstmKernel kernel) {
      var random = new Random(shape.length());
      int width = shape.heads() * shape.qkDim();
      int positions = shape.batch() * shape.length();
      int wide = width + 3; // rows lie apart
      int weight = width * blockSize;
      var convolved = new StridedMatrix(floats(random, positions * wide, 1), wide);
      var memory = new StridedMatrix(floats(random, positions * wide, 1), wide);
      var weights =
          new Projections(
              blockSize,
              floats(random, weight, 0.5),
              floats(random, weight, 0.5),
              floats(random, weight, 0.5));
      var gates =
          new StridedMatrix(floats(random, positions * 2 * shape.heads(), 1), 2 * shape.heads());
      var inputs =
          new MlstmInputs(
              convolved,
              convolved,
              memory,
              gates,
              gates.from(shape.heads()),
              Floats.bytes(valid),
              Floats.bytes(starts));
      int c = (int) shape.floatsOfC();
      int n = (int) shape.floatsOfN();
      var initial =
          new MlstmState(
              floats(random, c, 0.3), floats(random, n, 0.3), floats(random, shape.pairs(), 0.3));
      var last =
          new MlstmState(Floats.garbage(c), Floats.garbage(n), Floats.garbage(shape.pairs()));
      var h = new StridedMatrix(Floats.garbage((long) positions * width), width);
      MemorySegment saved = bytes(kernel.savedBytes(shape));
      MemorySegment scratch = bytes(kernel.scratchBytes(shape, blockSize));
      kernel.forward(shape, inputs, weights, scratch, initial, h, last, saved);

      var dH = new StridedMatrix(floats(random, positions * width, 1), width);
      var dConvolved = new StridedMatrix(floats(random, positions * wide, 1), wide); // added to
      var dMemory =
          new StridedMatrix(floats(random, positions * wide, 1), wide); // written, but for the gaps
      var dGates =
          new StridedMatrix(Floats.garbage(positions * 2L * shape.heads()), 2 * shape.heads());
      var dWeights =
          new Projections(
              blockSize, Floats.garbage(weight), Floats.garbage(weight), Floats.garbage(weight));
      var d = new MlstmStateGradient(floats(random, c, 0.3), floats(random, n, 0.3));
      kernel.backward(
          shape,
          inputs,
          weights,
          scratch,
          h,
          saved,
          dH,
          d,
          new MlstmGradients(dConvolved, dConvolved, dMemory, dGates, dGates.from(shape.heads())),
          dWeights,
          d);
      var result = new LinkedHashMap<String, float[]>();
      put(result, "h", h.data());
      put(result, "c", last.c());
      put(result, "n", last.n());
      put(result, "m", last.m());
      put(result, "dConvolved", dConvolved.data());
      put(result, "dMemory", dMemory.data());
      put(result, "dGates", dGates.data());
      put(result, "dQ", dWeights.q());
      put(result, "dK", dWeights.k());
      put(result, "dV", dWeights.v());
      put(result, "dC", d.c());
      put(result, "dN", d.n());
      return result;
    }

    private static MemorySegment floats(Random random, int count, double scale) {
      double[] values = Floats.gaussian(random, count);
      for (int i = 0; i < count; i++) {
        values[i] *= scale;
      }
      return Floats.of(values);
    }

    private static MemorySegment bytes(long count) {
      return Floats.garbage(Math.ceilDiv(count, Float.BYTES)).asSlice(0, count);
    }

    private static void put(Map<String, float[]> to, String name, MemorySegment from) {
      double[] values = Floats.read(from);
      float[] floats = new float[values.length];
      for (int i = 0; i < floats.length; i++) {
        floats[i] = (float) values[i];
      }
      to.put(name, floats);
    }
  }
}
