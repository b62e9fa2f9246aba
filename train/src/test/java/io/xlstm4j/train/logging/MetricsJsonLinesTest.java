package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MetricsJsonLinesTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path folder;
  private Path file;

  @BeforeEach
  void name_the_file() {
    file = folder.resolve("metrics.jsonl");
  }

  private List<JsonNode> read() throws IOException {
    var lines = new ArrayList<JsonNode>();
    for (String line : Files.readAllLines(file)) {
      lines.add(JSON.readTree(line));
    }
    return lines;
  }

  @Test
  void scalars_are_one_object_a_line_in_the_order_given() throws IOException {
    var values = new LinkedHashMap<String, Double>();
    values.put("train/tokens", 512.0);
    values.put("train/loss", 8.557826042175293);
    try (var sink = MetricsJsonLines.open(file, 0)) {
      sink.scalars(2, values);
    }
    assertThat(Files.readString(file))
        .isEqualTo("{\"step\":2,\"train/tokens\":512,\"train/loss\":8.557826042175293}\n");
  }

  @Test
  void what_json_has_no_number_for_is_a_string() throws IOException {
    try (var sink = MetricsJsonLines.open(file, 0)) {
      sink.scalars(1, Map.of("a", Double.NaN));
      sink.scalars(1, Map.of("a", Double.POSITIVE_INFINITY));
      sink.scalars(1, Map.of("a", Double.NEGATIVE_INFINITY));
    }
    assertThat(read())
        .extracting(line -> line.get("a").textValue())
        .containsExactly("NaN", "Infinity", "-Infinity");
  }

  @Test
  void texts_and_histograms_are_whole_in_one_line() throws IOException {
    String text = "two\nlines, \"quotes\", \u0000, 😀 and </script>";
    try (var sink = MetricsJsonLines.open(file, 0)) {
      sink.text(3, "samples/a prompt", text);
      sink.histogram(3, "weights/head", new float[] {1, 2, 2, Float.NaN});
    }
    List<JsonNode> lines = read();
    assertThat(lines).hasSize(2);
    assertThat(lines.get(0).get("text").textValue()).isEqualTo("samples/a prompt");
    assertThat(lines.get(0).get("markdown").textValue()).isEqualTo(text);
    assertThat(lines.get(1).get("count").longValue()).isEqualTo(3);
    assertThat(lines.get(1).get("non_finite").longValue()).isEqualTo(1);
    assertThat(lines.get(1).get("limits")).hasSize(64);
    assertThat(lines.get(1).get("counts")).hasSize(64);
  }

  @Test
  void a_resumed_file_has_no_later_steps_and_no_torn_line() throws IOException {
    try (var sink = MetricsJsonLines.open(file, 0)) {
      for (int step = 1; step <= 5; step++) {
        sink.scalars(step, Map.of("train/loss", (double) step));
        sink.text(step, "samples/0", "é");
      }
    }
    byte[] all = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(all, all.length - 4)); // in the middle of the é
    try (var sink = MetricsJsonLines.open(file, 5)) {
      sink.scalars(6, Map.of());
    }
    assertThat(read())
        .extracting(line -> line.get("step").intValue())
        .containsExactly(1, 1, 2, 2, 3, 3, 4, 4, 5, 6);
    MetricsJsonLines.open(file, 2).close();
    assertThat(read()).extracting(line -> line.get("step").intValue()).containsExactly(1, 1, 2, 2);
  }

  @Test
  void a_file_that_is_something_else_is_refused_and_stays() throws IOException {
    Files.writeString(file, "{\"step\":1}\n{\"loss\":2}\n");
    assertThatThrownBy(() -> MetricsJsonLines.open(file, 0))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContainingAll(file.toString(), "line 2", "mend or move the file");
    assertThat(Files.readAllLines(file)).hasSize(2);
  }
}
