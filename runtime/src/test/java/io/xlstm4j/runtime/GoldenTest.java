package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.Sampler;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.kernels.Kernels;
import java.nio.IntBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Whole models of both families against the official implementations.
class GoldenTest {
  private static final double TOLERANCE = 1e-4;

  @TempDir private Path temporary;

  static Stream<Arguments> models() {
    return Fixtures.NAMES.stream()
        .flatMap(name -> Stream.of(true, false).map(vectors -> Arguments.of(name, vectors)));
  }

  static List<String> names() {
    return Fixtures.NAMES;
  }

  @ParameterizedTest(name = "{0}, Vector API {1}")
  @MethodSource("models")
  void prefill_and_steps_give_the_official_logits_at_every_position(String name, boolean vectors) {
    Kernels kernels = Kernels.with(2, vectors);
    try (var results = Fixtures.results(name);
        var model = RuntimeModel.open(Fixtures.folder(name, DType.F32, temporary), kernels)) {
      float[] expected = results.floats("logits");
      int rows = (int) results.info("logits").shape()[0];
      for (int row = 0; row < rows; row++) {
        int[] ids = Fixtures.ids(results, row);
        int start = row * ids.length * model.vocabSize();
        try (Sequence whole = model.newSequence();
            Sequence stepped = model.newSequence()) {
          model.prefill(whole, ids, (i, logits) -> assertClose(i, logits, expected, start));
          for (int i = 0; i < ids.length; i++) {
            model.step(new int[] {ids[i]}, stepped);
            assertClose(i, stepped.logits(), expected, start);
          }
        }
      }
    } finally {
      kernels.threads().close();
    }
  }

  private static void assertClose(int position, float[] actual, float[] expected, int start) {
    for (int v = 0; v < actual.length; v++) {
      float wanted = expected[start + position * actual.length + v];
      if (!(Math.abs(actual[v] - wanted) <= TOLERANCE)) {
        assertThat(actual[v]).as("logit %d at position %d", v, position).isEqualTo(wanted);
      }
    }
  }

  @Test
  void greedy_continuation_is_the_official_one() {
    try (SafetensorsFile results = Fixtures.results("hf_xlstm_tiny");
        var model = RuntimeModel.open(Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary), 1);
        Sequence row = model.newSequence()) {
      int[] expected = Arrays.stream(results.longs("greedy")).mapToInt(Math::toIntExact).toArray();
      var sampler = new Sampler(SamplerConfig.GREEDY);
      model.prefill(row, Arrays.copyOf(expected, 16));
      for (int i = 16; i < expected.length; i++) {
        int id = sampler.sample(row.logits(), model.vocabSize(), IntBuffer.allocate(0), 0, i);
        assertThat(id).as("token " + i).isEqualTo(expected[i]);
        model.step(new int[] {id}, row);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void half_precision_weights_give_nearly_the_official_logits(String name) {
    for (DType type : new DType[] {DType.BF16, DType.F16}) {
      try (var results = Fixtures.results(name);
          var model = RuntimeModel.open(Fixtures.folder(name, type, temporary));
          Sequence row = model.newSequence()) {
        float[] expected = results.floats("logits");
        double spread = Arrays.stream(doubles(expected)).map(Math::abs).max().orElseThrow();
        double tolerance = spread * (type == DType.BF16 ? 0.05 : 0.01); // 8 and 11 bits per weight
        model.prefill(
            row,
            Fixtures.ids(results, 0),
            (i, logits) -> {
              for (int v = 0; v < logits.length; v++) {
                assertThat((double) logits[v])
                    .as("%s logit %d at %d", type, v, i)
                    .isCloseTo(
                        expected[i * logits.length + v],
                        org.assertj.core.data.Offset.offset(tolerance));
              }
            });
      }
    }
  }

  private static double[] doubles(float[] values) {
    double[] wide = new double[values.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = values[i];
    }
    return wide;
  }
}
