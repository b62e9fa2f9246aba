package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.MlstmCase.assertClose;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarMlstmKernel;
import io.xlstm4j.kernels.vector.mlstm.VectorMlstmKernel;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Chunks of 16 to 512 positions against the recurrence, which computes in double precision:
/// outputs, last states and the gradients of queries, keys, values, both gates and the initial
/// state.
class MlstmChunkLengthTest {
  private static final KernelThreads ONE = new KernelThreads(1);

  /// Float32 sums of up to 512 terms, relative to the largest element of the tensor.
  private static final double SUMS = 1e-5;

  /// Lengths on both sides of a chunk's end.
  @ParameterizedTest(name = "chunks of {0}, {1} positions")
  @CsvSource({
    "16, 65",
    "32, 97",
    "48, 97",
    "64, 130",
    "128, 257",
    "256, 257",
    "256, 300",
    "512, 511",
    "512, 513"
  })
  void every_gradient_of_every_chunk_length_is_that_of_the_recurrence(int chunk, int length) {
    for (boolean masked : new boolean[] {false, true}) {
      MlstmCase data = MlstmCase.random(2, length, 1, 12, 9, chunk);
      for (int t = 0; t < data.get("i").length; t++) {
        // The stabilizer changes often. It stays low: above a floor of exp(-m) that is tiny, a
        // denominator near zero makes any form inexact.
        data.get("i")[t] = 2 * data.get("i")[t] - 4;
      }
      if (masked) {
        data.valid = new byte[2 * length];
        data.starts = new byte[2 * length];
        for (int t = 0; t < 2 * length; t++) {
          data.valid[t] = (byte) (t < length + length / 2 ? 1 : 0);
          data.starts[t] = (byte) (t % 29 == 5 || t == chunk ? 1 : 0);
        }
      }
      assertClose(
          data.run(new VectorMlstmKernel(ONE, chunk)), data.run(new ScalarMlstmKernel(ONE)), SUMS);
    }
  }
}
