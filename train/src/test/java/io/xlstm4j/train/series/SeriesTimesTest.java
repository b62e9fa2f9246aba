package io.xlstm4j.train.series;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Times of rows: their order, their duplicates, their gaps, and those of forecasts.
class SeriesTimesTest {
  private static final String T = "series.time_column=t";

  @TempDir private Path folder;
  private SeriesFiles files;

  @BeforeEach
  void open() {
    files = new SeriesFiles(folder);
  }

  /// Rows with the given times, and 0, 1, 2, … as values.
  private static String csv(List<String> times) {
    var csv = new StringBuilder("t;y\n");
    for (int i = 0; i < times.size(); i++) {
      csv.append(times.get(i)).append(';').append(i).append('\n');
    }
    return csv.toString();
  }

  private double[] values(List<String> times, String... keys) throws IOException {
    return only(times, keys).column("y");
  }

  private Series only(List<String> times, String... keys) throws IOException {
    String[] all = Arrays.copyOf(keys, keys.length + 1);
    all[keys.length] = T;
    return files.read(csv(times), all).series().getFirst();
  }

  private static String next(Series series, int rows) {
    return Objects.requireNonNull(Objects.requireNonNull(series.times()).timeAfter(rows));
  }

  private void assertRefused(List<String> times, String... parts) {
    assertThatThrownBy(() -> only(times))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContainingAll(parts);
  }

  private static double[] rising(int count) {
    return DoubleStream.iterate(0, value -> value + 1).limit(count).toArray();
  }

  @Test
  void offsets_keep_the_order_when_clocks_go_back() throws IOException {
    SeriesTable table = files.read(SeriesFiles.resource("dst.csv"), T);
    assertThat(table.series().getFirst().column("y")).containsExactly(rising(72));
    assertThat(table.notes()).isEmpty(); // no gap
  }

  @ParameterizedTest
  @ValueSource(strings = {"2021-10-30T22:00:00Z", "2021-03-27T22:00:00Z"})
  void the_clock_of_a_zone_is_read_as_instants_in_both_directions_of_its_change(String start)
      throws IOException {
    ZoneId zone = ZoneId.of("Europe/Berlin");
    List<String> clock =
        IntStream.range(0, 16)
            .mapToObj(quarter -> Instant.parse(start).plusSeconds(1800L * quarter).atZone(zone))
            .map(time -> DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm", Locale.ROOT).format(time))
            .toList();
    String key = "series.time_zone=Europe/Berlin";
    SeriesTable table = files.read(csv(clock), T, key);
    assertThat(table.series().getFirst().column("y")).containsExactly(rising(16));
    assertThat(table.notes()).isEmpty();
    assertThat(values(clock.reversed(), key)).containsExactly(reversed(rising(16)));
  }

  private static double[] reversed(double[] values) {
    return IntStream.range(0, values.length)
        .mapToDouble(i -> values[values.length - 1 - i])
        .toArray();
  }

  @Test
  void a_clock_that_goes_back_is_refused_without_a_zone() {
    assertRefused(
        List.of("2021-10-31 01:30", "2021-10-31 02:50", "2021-10-31 02:10", "2021-10-31 03:00"),
        "lines 3 and 4: the times of column t go back",
        "series.time_zone");
    assertRefused(
        List.of("2021-10-31 01:00", "2021-10-31 02:00", "2021-10-31 02:00", "2021-10-31 03:00"),
        "lines 3 and 4: two rows of one series have the time '2021-10-31 02:00'",
        "series.time_zone");
  }

  @Test
  void a_time_that_the_clocks_of_the_zone_skip_is_refused() {
    assertThatThrownBy(() ->
            only(List.of("2021-03-28 01:30", "2021-03-28 02:30"), "series.time_zone=Europe/Berlin"))
        .hasMessageContaining(
            "line 3: column t has '2021-03-28 02:30', a time that the clocks skip");
  }

  @ParameterizedTest
  @CsvSource({
    "2026-01-31T10:00Z,2026-01-31T11:00",
    "2026-01-31,2026-01",
    "2026-01-31,5",
    "01/31/2026,01-31-2026",
    "2026-Q1,2026-01"
  })
  void times_of_two_forms_are_refused_with_both_lines(String one, String other) {
    assertRefused(List.of(one, other), "lines 2 and 3", "'" + one + "'", "'" + other + "'");
  }

  @Test
  void an_empty_or_unreadable_time_is_refused_with_its_line() {
    assertThatThrownBy(() -> files.read(SeriesFiles.resource("blankt.csv"), T))
        .hasMessageContaining("line 42: column t has no time");
    assertRefused(List.of("5", "tomorrow"), "line 3: column t must be a time, but is 'tomorrow'");
    assertRefused(List.of("0d", "1d"), "line 2: column t must be a time, but is '0d'");
    assertRefused(List.of("2026-02-30"), "line 2: column t must be a time");
    assertRefused(List.of("2026-01-31T25:00"), "line 2: column t must be a time");
    assertRefused(List.of("2026-W54"), "line 2: column t must be a time");
  }

  @Test
  void equal_times_are_duplicates_however_they_are_written() {
    assertThatThrownBy(() -> files.read(SeriesFiles.resource("dup.csv"), T))
        .hasMessageContaining("two rows of one series have the time '5'")
        .hasMessageContaining("lines ");
    for (List<String> same :
        List.of(
            List.of("5", "05"),
            List.of("5", "5.0"),
            List.of("5", "0.5e1"),
            List.of("2026-01-31T10:00Z", "2026-01-31T12:00:00.000+02:00"),
            List.of("2026-01-31T10:00Z", "2026-01-31 05:00:00-0500"),
            List.of("2026-01-31T10:00+01:00[Europe/Berlin]", "2026-01-31T09:00:00Z"),
            List.of("2026-01-31", "2026/1/31"),
            List.of("2026-01-31 24:00", "2026-02-01T00:00"),
            List.of("1956-Q1", "1956Q1"))) {
      assertRefused(same, "lines 2 and 3: two rows of one series have the time");
    }
  }

  @Test
  void dates_with_their_year_last_are_read_if_the_file_says_how() throws IOException {
    assertThat(values(List.of("02/01/2026", "31/12/2025"))).containsExactly(1, 0);
    assertThat(values(List.of("02/01/2026", "01/31/2026"))).containsExactly(1, 0);
    assertThat(values(List.of("01.02.2026", "31.01.2026"))).containsExactly(1, 0);
    assertThat(values(List.of("1/31/2026 1:00 PM", "1/31/2026 11:00 AM"))).containsExactly(1, 0);
    assertRefused(
        List.of("01/01/2026", "01/02/2026"),
        "line 3: '01/02/2026' of column t may be 2026-02-01 or 2026-01-02",
        "series.time_format");
    assertRefused(List.of("31/01/2026", "01/31/2026"), "lines 2 and 3", "day first");
    List<String> open = List.of("02/01/2026", "01/02/2026");
    assertThat(values(open, "series.time_format=dd/MM/yyyy")).containsExactly(0, 1);
    assertThat(values(open, "series.time_format=MM/dd/yyyy")).containsExactly(1, 0);
    assertThatThrownBy(() -> only(List.of("31/02/2026"), "series.time_format=dd/MM/yyyy"))
        .hasMessageContaining("line 2: column t must be a time");
  }

  @Test
  void a_stored_order_of_day_and_month_decides_about_a_later_file() throws IOException {
    var long_ = files.read(csv(List.of("30/12/2025", "31/12/2025", "01/01/2026")), T);
    assertThat(long_.dateOrder()).isEqualTo(DateOrder.DAY_FIRST);
    Path later = folder.resolve("later.csv");
    java.nio.file.Files.writeString(later, csv(List.of("02/01/2026", "03/01/2026")));
    Series series = CsvSeries.read(later, files.config(T), long_.dateOrder()).series().getFirst();
    assertThat(next(series, 1)).isEqualTo("04/01/2026");
  }

  @ParameterizedTest
  @CsvSource({
    "2026-01-30,2026-01-31,2026-02-01",
    "2026/01/30,2026/01/31,2026/02/01",
    "30.12.2025,31.12.2025,01.01.2026",
    "20260130,20260131,20260201",
    "2026-01,2026-02,2026-03",
    "11/2025,12/2025,01/2026",
    "1956-Q3,1956-Q4,1957-Q1",
    "2025-W51,2025-W52,2026-W01",
    "2026-01-31,2026-02-28,2026-03-31",
    "2024-05-15,2025-05-15,2026-05-15",
    "2026-01-31T22:00,2026-01-31T23:00,2026-02-01T00:00",
    "2026-01-31 22:00:00,2026-01-31 23:00:00,2026-02-01 00:00:00",
    "2026-01-31T23:59:59.5,2026-01-31T23:59:59.750,2026-02-01T00:00:00.00",
    "2026-01-31T22:00:00Z,2026-01-31T23:00:00Z,2026-02-01T00:00:00Z",
    "2026-01-31 22:00+0200,2026-01-31 23:00+0200,2026-02-01 00:00+0200",
    "2021-10-30T00:00+02:00[Europe/Berlin],2021-10-31T00:00+02:00[Europe/Berlin],2021-11-01T00:00+01:00[Europe/Berlin]",
    "8,9,10",
    "0.8,0.9,1.0",
    "1700000000,1700003600,1700007200"
  })
  void a_forecast_has_the_next_time_in_the_form_of_the_file(String one, String two, String three)
      throws IOException {
    Series series = only(List.of(one, two));
    assertThat(next(series, 0)).isEqualTo(two);
    assertThat(next(series, 1)).isEqualTo(three);
    assertThat(values(List.of(two, one))).containsExactly(1, 0);
  }

  @Test
  void weekends_that_are_left_out_are_no_gaps() throws IOException {
    var days = new ArrayList<String>();
    for (int week = 0; week < 3; week++) {
      for (int day = 5; day < 10; day++) {
        days.add("2026-01-%02d".formatted(7 * week + day)); // the fifth is a Monday
      }
    }
    SeriesTable table = files.read(csv(days), T);
    assertThat(table.notes()).isEmpty();
    assertThat(next(table.series().getFirst(), 1)).isEqualTo("2026-01-26");
  }

  @Test
  void gaps_are_reported_refused_or_filled() throws IOException {
    String hours =
        "t;y\n" + "2026-01-01T0%d:00;%d\n".repeat(5).formatted(0, 0, 1, 1, 2, 2, 5, 5, 6, 6);
    assertThat(files.read(hours, T).notes())
        .singleElement()
        .asString()
        .contains("1 gap, 2 rows are missing, the first after line 4 ('2026-01-01T02:00')", "1 h");
    assertThatThrownBy(() -> files.read(hours, T, "series.gaps=error"))
        .hasMessageContaining("1 gap, 2 rows are missing")
        .hasMessageContaining("series.gaps");
    Series filled =
        files.read(hours, T, "series.gaps=mask", "series.missing=mask").series().getFirst();
    assertThat(filled.column("y")).containsExactly(0, 1, 2, Double.NaN, Double.NaN, 5, 6);
    assertThatThrownBy(() -> files.config(T, "series.gaps=mask"))
        .hasMessageContaining("needs missing: mask");
    assertThatThrownBy(() ->
            files.read(
                "t;y\n0;0\n1;1\n2;2\n9000000;3\n", T, "series.gaps=mask", "series.missing=mask"))
        .hasMessageContaining("too many");
  }

  @Test
  void times_without_a_regular_step_are_reported_and_have_no_next() throws IOException {
    SeriesTable table = files.read("t;y\n0;0\n1;1\n2;2\n3.3;3\n", T);
    assertThat(table.notes()).singleElement().asString().contains("no regular step");
    assertThat(Objects.requireNonNull(table.series().getFirst().times()).timeAfter(1)).isNull();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void shuffled_rows_and_any_spelling_give_the_same_series(long seed) throws IOException {
    var random = new Random(seed);
    Instant start = Instant.ofEpochSecond(random.nextInt(2_000_000_000));
    var rows = new ArrayList<String>();
    for (int i = 0; i < 40; i++) {
      rows.add(spelled(start.plusSeconds(900L * i), random) + ";" + i);
    }
    Collections.shuffle(rows, random);
    Series series = files.read("t;y\n" + String.join("\n", rows), T).series().getFirst();
    assertThat(series.column("y")).containsExactly(rising(40));
    assertThat(Objects.requireNonNull(series.times()).stepInWords()).isEqualTo("15 min");
  }

  private static String spelled(Instant instant, Random random) {
    var offset = ZoneOffset.ofTotalSeconds(1800 * (random.nextInt(49) - 24));
    ZonedDateTime time = instant.atZone(offset);
    String date = random.nextBoolean() ? "uuuu-MM-dd" : "uuuu/M/d";
    String join = random.nextBoolean() ? "'T'" : " ";
    String fraction = List.of("", ".S", ".SSSSSSSSS").get(random.nextInt(3));
    String zone = List.of("XXX", "XX", " XXX").get(random.nextInt(3));
    return DateTimeFormatter.ofPattern(date + join + "HH:mm:ss" + fraction + zone, Locale.ROOT)
        .format(time);
  }

  @Test
  void shuffled_times_of_a_clock_are_sorted() throws IOException {
    var rows = new ArrayList<Integer>();
    IntStream.range(0, 50).forEach(rows::add);
    Collections.shuffle(rows, new Random(7));
    LocalDateTime start = LocalDateTime.of(2026, 1, 1, 0, 0);
    var csv = new StringBuilder("t,y\n");
    rows.forEach(i -> csv.append(start.plusHours(i)).append(',').append(i).append('\n'));
    assertThat(files.read(csv.toString(), T).series().getFirst().column("y"))
        .containsExactly(rising(50));
  }

  @Test
  void keys_of_times_are_checked() {
    assertThatThrownBy(() -> files.config("series.time_zone=UTC"))
        .hasMessageContaining("need a series.time_column");
    assertThatThrownBy(() -> files.config(T, "series.time_zone=Mars"))
        .hasMessageContaining("time_zone (Mars) must be a zone");
    assertThatThrownBy(() -> files.config(T, "series.time_format=dd/bb"))
        .hasMessageContaining("time_format (dd/bb) must be a pattern");
  }
}
