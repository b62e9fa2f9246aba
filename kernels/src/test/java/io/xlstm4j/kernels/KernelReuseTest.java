package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.vector.mlstm.VectorMlstmKernel;
import io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// A kernel keeps its scratch memory from call to call. Nothing that an earlier call left there
/// reaches the results of a later one, whatever was in it: zero times infinity is not zero.
class KernelReuseTest {
  private static final KernelThreads ONE = new KernelThreads(1);

  private static final List<String> OF_MLSTM =
      List.of("q", "k", "v", "i", "f", "C", "n", "m", "dh", "dC", "dn");

  @ParameterizedTest(name = "{0}")
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
  void an_mlstm_that_met_bad_numbers_gives_the_bits_of_a_new_one(float bad) {
    for (int chunk : new int[] {16, 20}) {
      for (int length : new int[] {1, 15, chunk - 1, chunk + 1, 2 * chunk + 3}) {
        for (boolean masked : new boolean[] {false, true}) {
          MlstmCase data = MlstmCase.random(2, length, 1, 9, 5, 3L * length + chunk);
          if (masked) {
            mask(data);
          }
          Map<String, float[]> expected = data.run(new VectorMlstmKernel(ONE, chunk));
          for (List<String> spoilt : List.of(List.of("k"), List.of("q", "v", "dh"), OF_MLSTM)) {
            var kernel = new VectorMlstmKernel(ONE, chunk);
            MlstmCase before = MlstmCase.random(1, 2 * chunk, 1, 9, 5, 1);
            spoilt.forEach(name -> Arrays.fill(before.get(name), bad));
            before.run(kernel);
            assertSameBits(data.run(kernel), expected);
          }
        }
      }
    }
  }

  /// Sequences of different lengths, the last of padding alone, and documents that start anywhere.
  private static void mask(MlstmCase data) {
    int length = data.shape.length();
    data.valid = new byte[2 * length];
    Arrays.fill(data.valid, 0, (length + 1) / 2, (byte) 1);
    data.starts = new byte[2 * length];
    for (int t = 0; t < data.starts.length; t += 7) {
      data.starts[t] = 1;
    }
  }

  private static void assertSameBits(Map<String, float[]> actual, Map<String, float[]> expected) {
    expected.forEach((name, values) -> assertThat(actual.get(name)).as(name).isEqualTo(values));
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
  void an_slstm_that_met_bad_numbers_gives_the_bits_of_a_new_one(double bad) {
    SlstmCase data = SlstmCase.random(3, 5, 2, 18).masked();
    NamedArrays expected = data.run(new VectorSlstmKernel(), 2);
    var kernel = new VectorSlstmKernel();
    var before = new SlstmCase(new Size(3, 7, 2, 18));
    SlstmCase like = SlstmCase.random(3, 7, 2, 18);
    for (String name : like.values.names()) {
      before.fill(name, like.at(name).length, _ -> bad);
    }
    before.run(kernel, 2);
    NamedArrays actual = data.run(kernel, 2);
    for (String name : expected.names()) {
      assertThat(actual.at(name)).as(name).containsExactly(expected.at(name));
    }
  }
}
