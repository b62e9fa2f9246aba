package io.xlstm4j.train.series;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.config.SeriesConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SeriesWindowsTest {
  @TempDir private Path folder;

  private SeriesConfig config(String... more) {
    ObjectNode keys = RunConfigFile.parse("", "test");
    RunConfigFile.override(
        keys,
        List.of(
            "model.model_type=xlstm_sequence",
            "series.file=" + folder.resolve("x.csv"),
            "series.target_columns=[y]",
            "series.context=3",
            "series.horizon=2",
            "series.scaling=none"));
    RunConfigFile.override(keys, List.of(more));
    return Objects.requireNonNull(RunConfig.DEFAULT.with(keys, "test").series());
  }

  private SeriesData open(String csv, String... more) throws IOException {
    Files.writeString(folder.resolve("x.csv"), csv);
    return SeriesData.open(config(more));
  }

  private static String rows(int count) {
    var csv = new StringBuilder("t,y\n");
    for (int i = 0; i < count; i++) {
      csv.append(i).append(',').append(i).append('\n');
    }
    return csv.toString();
  }

  @Test
  void training_windows_end_where_the_validation_part_begins() throws IOException {
    SeriesData data = open(rows(10)); // rows 8 and 9 are held out
    assertThat(data.training().size()).isEqualTo(4);
    SequenceDataset.Item last = data.training().item(3);
    assertThat(last.features()).containsExactly(3, 4, 5);
    assertThat(last.targets()).containsExactly(6, 7);
    assertThat(data.validation().size()).isEqualTo(1);
    assertThat(data.validation().item(0).features()).containsExactly(5, 6, 7);
    assertThat(data.validation().item(0).targets()).containsExactly(8, 9);
  }

  @Test
  void every_position_of_a_training_window_has_targets_and_the_last_of_a_validation_window()
      throws IOException {
    SeriesData data = open(rows(10), "series.pooling=every");
    assertThat(data.training().item(0).targets()).containsExactly(1, 2, 2, 3, 3, 4);
    float none = Float.NaN;
    assertThat(data.validation().item(0).targets()).containsExactly(none, none, none, none, 8, 9);
  }

  @Test
  void windows_never_reach_from_one_series_into_another() throws IOException {
    String csv = "id,y\na,1\nb,10\na,2\nb,20\na,3\nb,30\na,4\nb,40\na,5\nb,50\na,6\nc,9\nb,60\n";
    SeriesData data =
        open(
            csv,
            "series.id_column=id",
            "series.context=2",
            "series.horizon=1",
            "series.validation_fraction=0.3");
    assertThat(data.training().size()).isEqualTo(4); // two of a, two of b, none of c
    assertThat(data.training().item(1).targets()).containsExactly(4);
    assertThat(data.training().item(2).features()).containsExactly(10, 20);
    assertThat(data.validation().item(3).features()).containsExactly(40, 50);
    assertThat(data.validation().item(3).targets()).containsExactly(60);
  }

  @Test
  void scales_know_the_training_part_only() throws IOException {
    SeriesData data = open("y\n1\n3\n1\n3\n1\n3\n1\n3\n1000\n2000\n", "series.scaling=series");
    assertThat(data.scales().byId()).containsEntry("", Map.of("y", new Scale(2, 1)));
    assertThat(data.training().item(0).features()).containsExactly(-1, 1, -1);
    assertThat(data.validation().item(0).targets()).containsExactly(998, 1998);
  }

  @Test
  void a_window_can_be_scaled_by_what_it_reads() throws IOException {
    SeriesData data = open("y\n1\n3\n2\n10\n5\n6\n7\n8\n9\n9\n", "series.scaling=window");
    SequenceDataset.Item first = data.training().item(0);
    double deviation = Math.sqrt(2.0 / 3);
    assertThat(first.features()[0]).isEqualTo((float) (-1 / deviation));
    assertThat(first.targets()[0]).isEqualTo((float) (8 / deviation));
    assertThat(data.training().target(data.training().place(0), 0)).isEqualTo(10);
  }

  @Test
  void missing_values_are_refused_by_line_or_marked() throws IOException {
    String csv = rows(10).replace("2,2", "2,").replace("4,4", "4,NaN");
    assertThatThrownBy(() -> open(csv))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("line 4: column y has no value");
    SequenceDataset.Item item = open(csv, "series.missing=mask").training().item(0);
    assertThat(item.features()).containsExactly(0, 0, 1, 0, 0, 1); // value, mark
    assertThat(item.targets()).containsExactly(3, Float.NaN);
  }

  @Test
  void rows_are_put_in_the_order_of_their_time() throws IOException {
    String csv = "t,y\n10,10\n9,9\n2,2\n1,1\n3,3\n4,4\n5,5\n6,6\n7,7\n8,8\n";
    SeriesData data = open(csv, "series.time_column=t");
    assertThat(data.training().item(0).features()).containsExactly(1, 2, 3); // 10 is not after 1
    assertThatThrownBy(() -> open(csv + "8,8\n", "series.time_column=t"))
        .hasMessageContaining("lines 11 and 12: two rows of one series have the time '8'");
  }

  @Test
  void quoted_fields_and_the_mark_of_spreadsheets_are_read() throws IOException {
    String csv = "\uFEFFy,\"a, b\"\n" + "1,2\n".repeat(9) + "\"1\",\"2\"\n";
    SeriesData data = open(csv, "series.feature_columns=['a, b']");
    assertThat(data.training().item(0).features()).containsExactly(1, 2, 1, 2, 1, 2);
  }

  @Test
  void a_broken_file_is_refused_with_its_line() {
    assertThatThrownBy(() -> open("a,y\n1,2\n3\n"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("line 3: 1 fields, but the header has 2");
    assertThatThrownBy(() -> open("y\n1\nfive\n"))
        .hasMessageContaining("line 3: column y must be a number, but is 'five'");
    assertThatThrownBy(() -> open("")).hasMessageContaining("empty; a header");
    assertThatThrownBy(() -> open("y\n")).hasMessageContaining("no rows");
  }
}
