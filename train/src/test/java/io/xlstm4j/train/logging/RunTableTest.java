package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RunTableTest {
  @TempDir private Path folder;

  private RunTable table() throws IOException {
    Path empty = Files.createDirectory(folder.resolve("empty"));
    Files.writeString(empty.resolve("run.yaml"), "training:\n  learning_rate: 0.1\n");
    return new RunTable(
        List.of(
            RunReading.of(empty),
            RunReading.of(RunFiles.make(folder.resolve("worse"), 50, 20, 3, 0.01)),
            RunReading.of(RunFiles.make(folder.resolve("better"), 50, 50, 2, 0.003))));
  }

  @Test
  void the_best_validation_comes_first_and_what_never_validated_last() throws IOException {
    List<String> lines = table().lines(200);
    assertThat(lines).hasSize(4);
    assertThat(lines.get(1))
        .matches("better +finished +50 +5.00K +2.0000 +1.000 +500 +0:10 +-  learning_rate=0.003.*");
    assertThat(lines.get(2)).startsWith("worse").contains("20/50", "unfinished", "3.0000");
    assertThat(lines.get(3)).startsWith("empty").contains("learning_rate=0.1");
    assertThat(lines.get(1)).contains("steps=50").contains("corpus=<b>tiny</b>");
  }

  @ParameterizedTest(name = "{0} columns")
  @ValueSource(ints = {40, 80, 119, 120, 160})
  void no_line_is_wider_than_the_terminal(int width) throws IOException {
    assertThat(table().lines(width)).allMatch(line -> line.length() <= width);
  }

  @Test
  void nothing_is_cut_where_nobody_watches() throws IOException {
    String name = "a-run-with-a-name-that-is-much-longer-than-the-column-of-names-in-a-terminal";
    Path run = RunFiles.make(folder.resolve(name), 50, 20, 3, 0.01);
    Path other = RunFiles.make(folder.resolve("other"), 50, 20, 3, 0.003);
    List<String> lines =
        new RunTable(List.of(RunReading.of(run), RunReading.of(other))).lines(RunTable.UNCUT);
    assertThat(lines).hasSize(3).noneMatch(line -> line.contains("…"));
    assertThat(lines).anyMatch(line -> line.startsWith(name) && line.contains("learning_rate="));
  }

  @Test
  void json_has_null_for_what_is_not_known() throws IOException {
    List<String> lines = table().jsonLines();
    JsonNode best = new ObjectMapper().readTree(lines.getFirst());
    assertThat(best.get("name").textValue()).isEqualTo("better");
    assertThat(best.get("best_validation_loss").doubleValue()).isEqualTo(2);
    assertThat(best.get("best_step").intValue()).isEqualTo(50);
    assertThat(best.get("seconds").intValue()).isEqualTo(10);
    assertThat(best.get("differences").get("training.learning_rate").textValue())
        .isEqualTo("0.003");
    JsonNode empty = new ObjectMapper().readTree(lines.getLast());
    assertThat(empty.get("best_validation_loss").isNull()).isTrue();
    assertThat(empty.get("tokens").isNull()).isTrue();
  }

  @Test
  void figures_are_short() {
    assertThat(NumberFormats.count(999)).isEqualTo("999");
    assertThat(NumberFormats.count(999.6)).isEqualTo("1.00K");
    assertThat(NumberFormats.count(588_040)).isEqualTo("588K");
    assertThat(NumberFormats.count(15_360)).isEqualTo("15.4K");
    assertThat(NumberFormats.count(7e9)).isEqualTo("7.00B");
    assertThat(NumberFormats.count(Double.NaN)).isEqualTo("-");
    assertThat(NumberFormats.duration(3723)).isEqualTo("1:02:03");
    assertThat(NumberFormats.digits(5e-5)).isEqualTo("5.00e-05");
  }
}
