package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.MlstmCase.assertClose;
import static io.xlstm4j.kernels.MlstmCase.named;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarMlstmKernel;
import io.xlstm4j.kernels.vector.mlstm.VectorMlstmKernel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Against float64 autograd of the cell with a detached stabilizer.
class MlstmGoldenTest {
  private static final Pattern ENTRY =
      Pattern.compile(
          "\"(\\w+)\":\\{\"dtype\":\"F64\",\"shape\":\\[([\\d,]*)\\],\"data_offsets\":\\[(\\d+),");

  /// Shape and values of one tensor of a safetensors file.
  private record Tensor(int[] shape, float[] values) {
    /// `(B, NH, S, ...)` to `(B, S, NH, ...)`.
    float[] positionsBeforeHeads() {
      int width = shape.length == 4 ? shape[3] : 1;
      float[] result = new float[values.length];
      int offset = 0;
      for (int b = 0; b < shape[0]; b++) {
        for (int h = 0; h < shape[1]; h++) {
          for (int t = 0; t < shape[2]; t++) {
            int to = ((b * shape[2] + t) * shape[1] + h) * width;
            System.arraycopy(values, offset, result, to, width);
            offset += width;
          }
        }
      }
      return result;
    }
  }

  @ParameterizedTest(name = "{0}, chunks of {1} (0 for the plain loops)")
  @CsvSource({
    "fresh, 0",
    "fresh, 5",
    "fresh, 16",
    "fresh, 64",
    "warm, 0",
    "warm, 5",
    "warm, 16",
    "warm, 64"
  })
  void kernels_meet_the_stored_results(String file, int chunk) {
    Map<String, Tensor> golden = read("/golden/mlstm_cell_" + file + ".safetensors");
    int[] q = named(golden, "q").shape;
    var data = new MlstmCase(new MlstmShape(q[0], q[2], q[1], q[3], named(golden, "v").shape[3]));
    for (String name : new String[] {"q", "k", "v", "i", "f"}) {
      data.values.put(name, named(golden, name).positionsBeforeHeads());
    }
    data.values.put("C", named(golden, "C0").values);
    data.values.put("n", named(golden, "n0").values);
    data.values.put("m", named(golden, "m0").values);
    data.values.put("dh", named(golden, "grad_h").positionsBeforeHeads());
    data.values.put("dC", named(golden, "grad_CT").values);
    data.values.put("dn", named(golden, "grad_nT").values);
    var threads = new KernelThreads(1);

    Map<String, float[]> actual =
        data.run(
            chunk == 0 ? new ScalarMlstmKernel(threads) : new VectorMlstmKernel(threads, chunk));

    double tolerance = chunk == 0 ? 1e-5 : 1e-4; // float sums against float64
    assertClose("h", named(actual, "h"), named(golden, "h").positionsBeforeHeads(), tolerance);
    for (String name : new String[] {"C", "n", "m"}) {
      assertClose(name, named(actual, name), named(golden, name + "T").values, tolerance);
    }
    for (String name : new String[] {"q", "k", "v", "i", "f"}) {
      float[] expected = named(golden, "d_" + name).positionsBeforeHeads();
      assertClose("d" + name, named(actual, "d" + name), expected, tolerance);
    }
    assertClose("dC", named(actual, "dC"), named(golden, "d_C0").values, tolerance);
    assertClose("dn", named(actual, "dn"), named(golden, "d_n0").values, tolerance);
  }

  private static Map<String, Tensor> read(String resource) {
    try (var in = MlstmGoldenTest.class.getResourceAsStream(resource)) {
      ByteBuffer bytes = ByteBuffer.wrap(in.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
      int headerLength = (int) bytes.getLong(0);
      String header = new String(bytes.array(), 8, headerLength, StandardCharsets.UTF_8);
      var result = new LinkedHashMap<String, Tensor>();
      Matcher entry = ENTRY.matcher(header);
      while (entry.find()) {
        int[] shape = Stream.of(entry.group(2).split(",")).mapToInt(Integer::parseInt).toArray();
        int size = 1;
        for (int dim : shape) {
          size *= dim;
        }
        float[] values = new float[size];
        int from = 8 + headerLength + Integer.parseInt(entry.group(3));
        for (int i = 0; i < size; i++) {
          values[i] = (float) bytes.getDouble(from + i * Double.BYTES);
        }
        result.put(entry.group(1), new Tensor(shape, values));
      }
      return result;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
