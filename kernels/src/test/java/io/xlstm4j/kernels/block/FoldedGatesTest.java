package io.xlstm4j.kernels.block;

import static io.xlstm4j.kernels.Close.assertClose;

import io.xlstm4j.kernels.Floats;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FoldedGatesTest {
  private static final int INNER = 24;
  private static final int HEADS = 2;

  /// Float32 sums of up to 48 products.
  private static final double SUMS = 2e-6;

  @ParameterizedTest(name = "blocks of {0}")
  @ValueSource(ints = {1, 2, 4, 8, 24})
  void folded_gates_are_those_of_queries_keys_and_values(int blockSize) {
    var given = new Given(blockSize);
    double[] convolved = Floats.gaussian(given.random, INNER);
    double[] memory = Floats.gaussian(given.random, INNER);

    FoldedGates folded = given.fold();

    double[] actual = Floats.read(folded.bias());
    addProduct(Floats.read(folded.convolved()), convolved, actual);
    addProduct(Floats.read(folded.memory()), memory, actual);
    assertClose("gates", actual, given.gates(convolved, memory), SUMS);
  }

  /// The gates are linear in each weight, so differences are exact but for rounding.
  @ParameterizedTest(name = "blocks of {0}")
  @ValueSource(ints = {1, 2, 4, 8, 24})
  void gradients_go_back_to_every_weight(int blockSize) {
    var given = new Given(blockSize);
    double[] convolved = Floats.gaussian(given.random, INNER);
    double[] memory = Floats.gaussian(given.random, INNER);
    double[] dGates = Floats.gaussian(given.random, 2 * HEADS);
    var before = new Given(blockSize); // whose projections are added to
    MlstmBlockKernel.Weights to = before.weights();
    double[][] q = {Floats.read(to.q()), Floats.read(to.k()), Floats.read(to.v())};

    new FoldedGates(outer(dGates, convolved), outer(dGates, memory), Floats.of(dGates))
        .unfold(given.size, given.weights(), to);

    List<MemorySegment> actual =
        List.of(to.q(), to.k(), to.v(), to.igate(), to.fgate(), to.igateBias(), to.fgateBias());
    for (int i = 0; i < actual.size(); i++) {
      double[] expected =
          Floats.differences(
              given.values.get(i),
              _ -> {
                double[] gates = given.gates(convolved, memory);
                double loss = 0;
                for (int g = 0; g < gates.length; g++) {
                  loss += gates[g] * dGates[g];
                }
                return loss;
              });
      for (int j = 0; j < expected.length && i < 3; j++) {
        expected[j] += q[i][j];
      }
      assertClose("weight " + i, Floats.read(actual.get(i)), expected, SUMS);
    }
  }

  private static void addProduct(double[] weight, double[] x, double[] to) {
    for (int o = 0; o < to.length; o++) {
      for (int i = 0; i < x.length; i++) {
        to[o] += weight[o * x.length + i] * x[i];
      }
    }
  }

  private static MemorySegment outer(double[] a, double[] b) {
    double[] product = new double[a.length * b.length];
    for (int i = 0; i < product.length; i++) {
      product[i] = a[i / b.length] * b[i % b.length];
    }
    return Floats.of(product);
  }

  private static final class Given {
    final Random random = new Random(1);
    final MlstmBlockKernel.Size size;
    final List<double[]> values = new ArrayList<>(); // q, k, v, igate, fgate and their biases

    Given(int blockSize) {
      size = new MlstmBlockKernel.Size(1, 1, 8, INNER, HEADS, 4, blockSize, 1e-5f);
      for (int i = 0; i < 3; i++) {
        values.add(Floats.gaussian(random, INNER * blockSize));
      }
      for (int i = 0; i < 2; i++) {
        values.add(Floats.gaussian(random, HEADS * 3 * INNER));
      }
      for (int i = 0; i < 2; i++) {
        values.add(Floats.gaussian(random, HEADS));
      }
    }

    MlstmBlockKernel.Weights weights() {
      List<MemorySegment> w = values.stream().map(Floats::of).toList();
      MemorySegment none = MemorySegment.NULL;
      return new MlstmBlockKernel.Weights(
          none, none, none, none, w.get(0), w.get(1), w.get(2), w.get(3), w.get(5), w.get(4),
          w.get(6), none, none, none);
    }

    FoldedGates fold() {
      MemorySegment memory = Floats.garbage(FoldedGates.bytes(size) / Float.BYTES);
      return FoldedGates.of(memory, size, weights());
    }

    /// As the paper has them: products of all queries, keys and values.
    double[] gates(double[] convolved, double[] memory) {
      double[] qkv = new double[3 * INNER];
      for (int o = 0; o < INNER; o++) {
        int block = o / size.blockSize() * size.blockSize();
        for (int i = 0; i < size.blockSize(); i++) {
          int weight = o * size.blockSize() + i;
          qkv[o] += values.get(0)[weight] * convolved[block + i];
          qkv[INNER + o] += values.get(1)[weight] * convolved[block + i];
          qkv[2 * INNER + o] += values.get(2)[weight] * memory[block + i];
        }
      }
      double[] gates = new double[2 * HEADS];
      for (int g = 0; g < gates.length; g++) {
        gates[g] = values.get(g < HEADS ? 5 : 6)[g % HEADS];
        double[] weight = values.get(g < HEADS ? 3 : 4);
        for (int i = 0; i < 3 * INNER; i++) {
          gates[g] += weight[g % HEADS * 3 * INNER + i] * qkv[i];
        }
      }
      return gates;
    }
  }
}
