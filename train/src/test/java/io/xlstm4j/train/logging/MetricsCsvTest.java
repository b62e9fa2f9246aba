package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MetricsCsvTest {
  private static final String HEADER = "step," + String.join(",", MetricNames.STANDARD);

  @TempDir private Path folder;
  private Path file;

  @BeforeEach
  void name_the_file() {
    file = folder.resolve("metrics.csv");
  }

  private void write(long lastStep, long... steps) {
    try (var csv = MetricsCsv.open(file, lastStep)) {
      for (long step : steps) {
        csv.scalars(step, Map.of("train/loss", step + 0.5));
      }
    }
  }

  private static String row(long step) {
    return step + "," + (step + 0.5) + ",".repeat(10);
  }

  /// The contents of a file, step by step.
  private Map<Long, Map<String, Double>> read() {
    var rows = new LinkedHashMap<Long, Map<String, Double>>();
    MetricsCsv.replay(
        file,
        new MetricsLogger() {
          @Override
          public void scalars(long step, Map<String, Double> values) {
            assertThat(rows.put(step, new HashMap<>(values))).isNull();
          }

          @Override
          public void close() {}
        });
    return rows;
  }

  @Test
  void every_step_is_on_the_disk_at_once() throws IOException {
    try (var csv = MetricsCsv.open(file, 0)) {
      assertThat(Files.readString(file)).isEqualTo(HEADER + "\n");
      csv.scalars(1, Map.of("train/loss", 1.5));
      assertThat(Files.readString(file)).isEqualTo(HEADER + "\n" + row(1) + "\n");
    }
  }

  @Test
  void values_that_come_later_for_a_step_go_into_its_line() throws IOException {
    try (var csv = MetricsCsv.open(file, 0)) {
      csv.scalars(1, Map.of("train/loss", 1.5));
      csv.scalars(2, Map.of("train/loss", 2.5, "train/tokens", 512.0));
      csv.scalars(2, Map.of("validation/loss", 3.5));
      csv.scalars(2, Map.of("train/loss", 2.0)); // shorter than before
      csv.scalars(3, Map.of("train/loss", 3.5));
    }
    assertThat(Files.readAllLines(file))
        .containsExactly(HEADER, row(1), "2,2,,,512,,,3.5,,,,", row(3));
  }

  @Test
  void a_resumed_run_goes_on_with_the_line_of_its_last_step() throws IOException {
    write(0, 1, 2);
    try (var csv = MetricsCsv.open(file, 2)) {
      csv.scalars(2, Map.of("validation/loss", 7.0));
    }
    assertThat(Files.readAllLines(file)).containsExactly(HEADER, row(1), "2,2.5,,,,,,7,,,,");
  }

  @Test
  void a_new_name_gets_the_last_column_and_older_lines_an_empty_cell() throws IOException {
    try (var csv = MetricsCsv.open(file, 0)) {
      csv.scalars(1, Map.of("train/loss", 1.5));
      csv.scalars(2, Map.of("train/loss", 2.5));
      csv.scalars(2, Map.of("router/entropy", 0.25)); // a new name in a line that is there
      csv.scalars(3, Map.of("train/loss", 3.5));
    }
    assertThat(Files.readAllLines(file))
        .containsExactly(HEADER + ",router/entropy", row(1) + ",", row(2) + ",0.25", row(3) + ",");
    write(3, 4);
    assertThat(Files.readAllLines(file)).hasSize(5).last().isEqualTo(row(4) + ",");
  }

  @Test
  void what_is_past_the_last_step_is_dropped() throws IOException {
    write(0, 0, 1, 2, 3, 4);
    write(2, 3);
    assertThat(Files.readAllLines(file)).containsExactly(HEADER, row(0), row(1), row(2), row(3));
  }

  @ParameterizedTest(name = "all but {0} bytes of the last line")
  @ValueSource(ints = {1, 2, 5, 15})
  void a_torn_last_line_is_dropped(int missing) throws IOException {
    write(0, 1, 2, 3);
    byte[] all = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(all, all.length - missing));
    assertThat(read().keySet()).containsExactly(1L, 2L);
    write(3, 4); // the state of step 3 was saved, but not all of its line
    assertThat(Files.readAllLines(file)).containsExactly(HEADER, row(1), row(2), row(4));
  }

  @Test
  void a_torn_header_makes_a_new_file() throws IOException {
    Files.writeString(file, "step,train/l");
    write(5, 6);
    assertThat(Files.readAllLines(file)).containsExactly(HEADER, row(6));
  }

  @Test
  void a_whole_file_is_not_written_again() throws IOException {
    write(0, 1, 2);
    Object before = Files.readAttributes(file, "unix:ino").get("ino");
    write(2, 3);
    assertThat(Files.readAttributes(file, "unix:ino")).containsEntry("ino", before);
  }

  @Test
  void numbers_read_back_as_they_were_to_the_precision_of_a_float() {
    var random = new Random(3);
    var values =
        new ArrayList<Double>(
            List.of(
                Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, 0.0, -0.1, 1e300));
    values.addAll(List.of(1e-300, Double.MIN_VALUE, (double) (1L << 53) - 1, 3e-45, 1e22));
    for (int i = 0; i < 200; i++) {
      values.add(random.nextGaussian() * Math.pow(10, random.nextInt(-40, 40)));
    }
    try (var csv = MetricsCsv.open(file, 0)) {
      for (int i = 0; i < values.size(); i++) {
        csv.scalars(i, Map.of("train/loss", values.get(i)));
      }
    }
    Map<Long, Map<String, Double>> rows = read();
    for (int i = 0; i < values.size(); i++) {
      double expected = values.get(i);
      double actual = rows.getOrDefault((long) i, Map.of()).getOrDefault("train/loss", -7.0);
      if (Double.isFinite(expected)) {
        assertThat(actual).isBetween(expected - ulp(expected), expected + ulp(expected));
      } else {
        assertThat(actual).isEqualTo(Double.valueOf(expected));
      }
    }
    assertThat(rows.get(8L)).containsEntry("train/loss", 9007199254740991.0);
  }

  /// A float has 24 bits: half a unit for the float, half for its shortest decimal.
  private static double ulp(double value) {
    return Math.scalb(Math.abs(value), -23);
  }

  @Test
  void files_with_the_former_names_can_be_read() throws IOException {
    Files.writeString(
        file,
        """
        step,tokens,loss,learning_rate,gradient_norm,tokens_per_second,validation_loss,validation_bits_per_byte
        1,256,8.5,5.000e-05,1.599,244.8,,
        """);
    assertThat(read())
        .containsExactly(
            Map.entry(
                1L,
                Map.of(
                    "train/tokens", 256.0,
                    "train/loss", 8.5,
                    "train/learning_rate", 5e-5,
                    "train/gradient_norm", 1.599,
                    "train/tokens_per_second", 244.8)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"a,b", "", "two words", "quote\"", "line\nbreak", "é"})
  void a_name_that_would_need_quotes_is_refused(String name) throws IOException {
    try (var csv = MetricsCsv.open(file, 0)) {
      assertThatThrownBy(() -> csv.scalars(1, Map.of(name, 1.0)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("letters, digits");
    }
    assertThat(Files.readString(file)).isEqualTo(HEADER + "\n");
  }

  @Test
  void a_step_before_the_last_is_refused() {
    try (var csv = MetricsCsv.open(file, 0)) {
      csv.scalars(2, Map.of());
      assertThatThrownBy(() -> csv.scalars(1, Map.of()))
          .hasMessage("step (1) must not be before the last (2)");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"loss,step\n1,2\n", "step,a\nx,2\n", "step,a\n1,2,3\n", "step,a\n1\n"})
  void a_file_that_is_something_else_is_refused_and_stays(String content) throws IOException {
    Files.writeString(file, content);
    assertThatThrownBy(() -> MetricsCsv.open(file, 9))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContainingAll(file.toString(), "line ", "mend or move the file");
    assertThat(Files.readString(file)).isEqualTo(content);
  }

  @Test
  void a_folder_that_is_missing_is_named() {
    Path path = folder.resolve("missing/metrics.csv");
    assertThatThrownBy(() -> MetricsCsv.open(path, 0))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(path + ": cannot be written: no such file or folder");
  }

  @Test
  void a_full_disk_is_told_with_the_path() {
    assertThat(Path.of("/dev/full")).exists(); // refuses every write for want of space
    try (var file = AppendOnlyFile.open(Path.of("/dev/full"))) {
      assertThatThrownBy(() -> file.append(new byte[] {1}))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage("/dev/full: cannot be written: No space left on device");
    }
  }

  @Test
  void lines_that_grow_and_shrink_leave_a_valid_file() {
    var random = new Random(5);
    var expected = new LinkedHashMap<Long, Map<String, Double>>();
    long step = 0;
    for (int session = 0; session < 8; session++) {
      try (var csv = MetricsCsv.open(file, step)) {
        for (int i = 0; i < 40; i++) {
          step += random.nextInt(2);
          String name = "group/name" + random.nextInt(4 + session);
          double value = random.nextInt(1 << random.nextInt(1, 30));
          csv.scalars(step, Map.of(name, value));
          expected.computeIfAbsent(step, _ -> new HashMap<>()).put(name, value);
        }
      }
    }
    assertThat(read()).isEqualTo(expected);
  }

  @Test
  void a_line_behind_a_torn_one_never_joins_it() throws IOException {
    write(0, 1);
    Files.writeString(file, "2,2.", StandardOpenOption.APPEND);
    write(1, 2);
    assertThat(Files.readAllLines(file)).containsExactly(HEADER, row(1), row(2));
  }
}
