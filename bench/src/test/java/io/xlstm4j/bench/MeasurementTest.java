package io.xlstm4j.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.util.LinkedHashMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MeasurementTest {
  @Test
  void a_line_holds_every_key_and_reads_back() {
    var sizes = new LinkedHashMap<String, Object>();
    sizes.put("B", 8);
    Measurement measured =
        Measurement.of("a \"case\"", 2, new Timing.Result(12.34567, 11.503, 7, 3), sizes)
            .withTokens(2048)
            .with("note", "words");

    String line = measured.toJson();

    assertThat(line)
        .isEqualTo(
            "{\"peer\":\"xlstm4j\",\"case\":\"a \\\"case\\\"\",\"threads\":2,\"ms\":12.346,\"B\":8,"
                + "\"ms_best\":11.503,\"reps\":7,\"warmup_runs\":3,\"tokens_per_s\":165888.121,\"note\":\"words\"}");
    assertThat(Measurement.parse(line).toJson()).isEqualTo(line);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "no json",
        "[1]",
        "{\"peer\":\"p\",\"case\":\"c\",\"threads\":1}",
        "{\"peer\":\"p\",\"case\":1,\"threads\":1,\"ms\":2}"
      })
  void a_line_that_is_no_measurement_is_refused(String line) {
    assertThatThrownBy(() -> Measurement.parse(line))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("a measurement must")
        .hasMessageContaining("'" + line + "'");
  }
}
