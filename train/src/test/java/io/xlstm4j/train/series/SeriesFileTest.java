package io.xlstm4j.train.series;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// CSV files as people and spreadsheets write them.
class SeriesFileTest {
  private static final String MASK = "series.missing=mask";

  @TempDir private Path folder;
  private SeriesFiles files;

  @BeforeEach
  void open() {
    files = new SeriesFiles(folder);
  }

  private double[] values(String csv, String... keys) throws IOException {
    return files.read(csv, keys).series().getFirst().column("y");
  }

  private AbstractThrowableAssert<?, ? extends Throwable> assertRefused(
      String csv, String... keys) {
    return assertThatThrownBy(() -> files.read(csv, keys))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(folder.resolve("x.csv") + ": ")
        .hasMessageNotContaining("\n");
  }

  // ---- numbers

  @ParameterizedTest
  @ValueSource(
      strings = {
        "12d",
        "103.5f",
        "0x1p3",
        "0X10",
        "1_000",
        "1e",
        "--1",
        "+",
        ".",
        "1.2.3",
        "five",
        "1e5L",
        "Infinity",
        "-Infinity",
        "inf",
        "1 2",
        "٣",
        "1e30f"
      })
  void what_is_no_decimal_number_is_refused_with_its_line(String field) {
    assertRefused("t,y\n0,1\n1," + field + "\n")
        .hasMessageContaining("line 3: column y must be a number, but is '" + field + "'");
  }

  @Test
  void a_header_that_comes_again_is_refused_as_what_it_is() {
    assertRefused("t,y\n0,1\n1,2\nt,y\n2,3\n")
        .hasMessageContaining("line 4 repeats the header; take it out");
  }

  @Test
  void numbers_with_suffixes_of_a_language_are_refused() throws IOException {
    assertRefused(SeriesFiles.resource("javanum.csv")).hasMessageContaining("line 2: column y");
    assertRefused(SeriesFiles.resource("hex.csv")).hasMessageContaining("'0x1p0'");
  }

  @Test
  void decimal_numbers_keep_every_bit() throws IOException {
    assertThat(values("t,y\n0, 1e30 \n1,-.5\n2,+7.\n3,0.1\n4,1E-300\n5,4.9e-324\n6,-0\n"))
        .containsExactly(1e30, -0.5, 7, 0.1, 1e-300, Double.MIN_VALUE, -0.0);
    assertRefused("t,y\n0,1e309\n").hasMessageContaining("'1e309', which is too large");
    assertRefused("t,y\n0,1e-330\n").hasMessageContaining("'1e-330', which is too small");
  }

  @Test
  void commas_in_numbers_are_refused_with_the_key_that_takes_them() throws IOException {
    assertRefused("t;y\n0;1,5\n").hasMessageContaining("series.decimal_mark: comma");
    assertRefused("t;y\n0;1.234,5\n").hasMessageContaining("thousands separators");
    assertRefused("t;y\n0;1 234 567\n").hasMessageContaining("thousands separators");
    assertRefused("t,y\n0,1,5\n").hasMessageContaining("line 2: 3 fields, but the header has 2");
    assertThat(values("t;y\n0;1,5\n1;-2\n", "series.decimal_mark=comma")).containsExactly(1.5, -2);
    assertRefused("t;y\n0;1.5\n", "series.decimal_mark=comma").hasMessageContaining("'1.5'");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "NA", "NaN", "nan", "null", "?", "#N/A", "n/a", "None", "  "})
  void missing_values_are_refused_or_masked(String field) throws IOException {
    String csv = "t,y\n0,1\n1," + field + "\n2,3\n";
    assertRefused(csv).hasMessageContaining("line 3: column y has no value");
    assertThat(values(csv, MASK)).containsExactly(1, Double.NaN, 3);
  }

  @Test
  void what_float32_cannot_hold_is_refused_unscaled() throws IOException {
    assertRefused(SeriesFiles.resource("f32.csv"), "series.scaling=none")
        .hasMessageContaining("line 2: column y is '1.000000e+39', which float32 cannot hold");
    assertRefused("t,y\n0,1\n1,1e-60\n", "series.scaling=none")
        .hasMessageContaining("line 3: column y is '1e-60'");
    assertThat(values(SeriesFiles.resource("f32.csv"))[0]).isEqualTo(1e39);
  }

  // ---- columns

  @Test
  void a_wanted_column_that_is_there_twice_is_refused() throws IOException {
    assertRefused(SeriesFiles.resource("dupcol.csv"))
        .hasMessageContaining("column y is there 2 times, as columns 1 and 2");
    assertThat(values("z,y,z\n1,2,3\n")).containsExactly(2);
    assertThatThrownBy(() -> files.config("series.target_columns=[y, y]"))
        .hasMessageContaining("target_columns ([y, y]) must name each column once");
  }

  @Test
  void separators_of_spreadsheets_are_recognised() throws IOException {
    for (String csv :
        new String[] {
          "t;y\n0;1\n1;2\n",
          "t\ty\n0\t1\n1\t2\n",
          "t|y\n0|1\n1|2\n",
          "sep=;\nt;y\n0;1\n1;2\n",
          "\"a, b\";y\n\"0;0\";1\n\"x, y\";2\n",
          "y\n1\n2\n",
          "t,y\r\n0,1\r\n1,2\r\n\r\n",
          "t,y\r0,1\r1,2\r",
          "t,y\n0,1\n1,2",
          "t,y,,\n0,1,,\n1,2\n,,,\n,,,\n\n",
          "t,y\n0,1,,\n1,2\n",
          "\n# made by hand\n\nt,y\n0,1\n1,2\n",
          "# t,y\n0,1\n1,2\n",
          "\"t\" , \"y\"\n\"0\" , \"1\"\n0,\"2\"\n",
          "\"a\nb\",y\n\"c\r\nd\",1\n,2\n"
        }) {
      assertThat(values(csv)).as(csv).containsExactly(1, 2);
    }
  }

  @Test
  void lines_are_those_of_the_file() {
    assertRefused("sep=;\n# one\n\nt;y\n\"a\nb\";1\n\n0;x\n")
        .hasMessageContaining("line 8: column y must be a number, but is 'x'");
    assertRefused("t,y\r0,1\r0,x\r").hasMessageContaining("line 3: column y");
    assertRefused("a,y\n1,2\n3\n").hasMessageContaining("line 3: 1 fields, but the header has 2");
    assertRefused("t,y\n0,1\n1,\"2\n2,3\n").hasMessageContaining("not CSV: ");
  }

  @Test
  void an_empty_row_among_others_is_a_missing_value_where_it_can_be_one() throws IOException {
    assertRefused("y\n1\n\n2\n").hasMessageContaining("line 3: column y has no value");
    assertThat(values("y\n1\n\n2\n\n\n", MASK)).containsExactly(1, Double.NaN, 2);
    assertThat(values("t,y\n0,1\n,\n0,2\n,\n", MASK)).containsExactly(1, Double.NaN, 2);
  }

  @Test
  void comments_among_the_rows_are_left_out_and_counted() throws IOException {
    SeriesTable table = files.read("t,y\n0,1\n# a, \"note\n1,2\n");
    assertThat(table.series().getFirst().column("y")).containsExactly(1, 2);
    assertThat(table.notes()).singleElement().asString().contains("comments: 1", "line 3");
    assertThat(values("y,t\n1,0\n#N/A,1\n2,2\n", MASK)).containsExactly(1, Double.NaN, 2);
  }

  @Test
  void files_without_rows_are_refused() {
    assertRefused("").hasMessageContaining("empty; a header");
    assertRefused("\n\n\n").hasMessageContaining("empty; a header");
    assertRefused("y\n").hasMessageContaining("no rows under the header");
    assertRefused("t,y\n,\n,\n").hasMessageContaining("no rows under the header");
    assertRefused("t,x\n0,1\n").hasMessageContaining("no column \"y\"; there are [t, x]");
    assertRefused("t;y\n0;1\n", "series.target_columns=[y, x]")
        .hasMessageContaining("no column \"x\"; there are [t, y]");
    assertRefused("id,y\na,1\n,2\n", "series.id_column=id")
        .hasMessageContaining("line 3: column id is empty");
    assertThatThrownBy(() -> CsvSeries.read(folder, files.config(), null))
        .hasMessageContaining("a folder, not a CSV file");
    assertThatThrownBy(() -> CsvSeries.read(folder.resolve("no.csv"), files.config(), null))
        .hasMessageContaining("no.csv: no such file");
  }

  // ---- bytes

  @Test
  void encodings_are_read_by_their_mark_or_refused_with_the_byte() throws IOException {
    String csv = "größe,y\n0,1\n1,2\n";
    for (Charset charset :
        new Charset[] {
          StandardCharsets.UTF_8, StandardCharsets.UTF_16LE, StandardCharsets.UTF_16BE
        }) {
      SeriesTable table = files.read("\uFEFF" + csv, charset, "series.feature_columns=['größe']");
      assertThat(table.series().getFirst().column("größe")).containsExactly(0, 1);
    }
    assertThatThrownBy(() -> files.read("x,y\n0,1\nä,2\n", StandardCharsets.ISO_8859_1))
        .hasMessageContaining("line 3: byte 8 (0xE4) is not UTF-8")
        .hasMessageContaining("Windows-1252");
    assertThatThrownBy(() -> files.read(csv, StandardCharsets.UTF_16LE))
        .hasMessageContaining("x.csv: line 1 ");
    assertRefused("t,y\n0,1\n\0\0\0\0").hasMessageContaining("line 3 has a NUL character");
    assertRefused("PK\3\4").hasMessageContaining("export it as CSV");
    assertThatThrownBy(() -> files.read(new byte[] {0x1F, (byte) 0x8B, 8, 0}))
        .hasMessageContaining("compressed");
  }

  @Test
  void a_line_without_an_end_is_refused_before_it_is_collected() {
    assertRefused("t,y\n0,1\n" + "x".repeat(SourceText.LONGEST_LINE + 1))
        .hasMessageContaining("line 3 is longer than 1,048,576 characters");
  }

  @Test
  void characters_of_two_units_survive_the_edges_of_buffers() throws IOException {
    String name = "\uD83C\uDF7A".repeat(3); // a beer
    var csv = new StringBuilder("id,y\n");
    for (int row = 0; row < 9_000; row++) {
      csv.append(name).append(row % 7 == 0 ? " " : "").append(",1\n");
    }
    SeriesTable table = files.read(csv.toString(), "series.id_column=id");
    assertThat(table.series()).singleElement().extracting(Series::id).isEqualTo(name);
    assertThat(table.series().getFirst().rows()).isEqualTo(9_000);
  }
}
