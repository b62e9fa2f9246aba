package io.xlstm4j.train.series;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.SequenceLossConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Scales of columns of every size, and of columns without values.
class SeriesScaleTest {
  @TempDir private Path folder;
  private SeriesFiles files;

  @BeforeEach
  void open() {
    files = new SeriesFiles(folder);
  }

  private static Scale of(double... values) {
    return Scale.of(values, 0, values.length);
  }

  @ParameterizedTest
  @ValueSource(doubles = {1e-300, 1e-200, 1e-40, 1e-10, 1e-3, 7, 1e10, 1e38, 1e200, 1e300})
  void scaled_values_do_not_depend_on_the_unit(double unit) {
    var random = new Random(3);
    double[] values = random.doubles(50, -1, 1).toArray();
    double shift = random.nextDouble(-5, 5);
    double[] moved = Arrays.stream(values).map(value -> unit * value + unit * shift).toArray();
    Scale scale = of(values);
    Scale other = of(moved);
    assertThat(other.deviation()).isCloseTo(unit * scale.deviation(), within(unit * 1e-14));
    for (int i = 0; i < values.length; i++) {
      assertThat(other.scaled(moved[i])).isCloseTo(scale.scaled(values[i]), within(1e-13));
      assertThat(other.original(other.scaled(moved[i])))
          .isCloseTo(moved[i], within(Math.abs(unit) * 1e-14));
    }
  }

  @Test
  void windows_do_not_depend_on_the_unit() throws IOException {
    for (String scaling : new String[] {"series", "window"}) {
      SequenceDataset.Item one = item(1, scaling);
      for (double unit : new double[] {1e-250, 1e-30, 1e30, 1e250}) {
        SequenceDataset.Item other = item(unit, scaling);
        assertThat(other.features()).containsExactly(one.features(), within(1e-6f));
        assertThat(other.targets()).containsExactly(one.targets(), within(1e-6f));
      }
    }
  }

  /// A window whose values are all the same, and the rows after it.
  private SequenceDataset.Item item(double unit, String scaling) throws IOException {
    var csv = new StringBuilder("y\n");
    for (double value : new double[] {0, 3, 0, 0, 0, 4, 2, 5, 1, 3, 2, 2}) {
      csv.append(value * unit).append('\n');
    }
    return files.open(csv.toString(), "series.scaling=" + scaling).training().item(2);
  }

  @Test
  void tiny_values_are_not_taken_for_constant() throws IOException {
    SeriesData data = files.open(SeriesFiles.resource("tiny.csv"), "series.time_column=t");
    Scale scale = known(data, "");
    assertThat(scale.mean()).isCloseTo(1e-10, within(2e-11));
    assertThat(scale.deviation()).isBetween(1e-12, 1e-11);
    assertThat(of(0, Double.MIN_VALUE, 0, Double.MIN_VALUE).deviation()).isPositive();
    assertThat(of(1e8, 1e8 + 1e-6, 1e8 - 1e-6).isConstant()).isFalse();
  }

  @Test
  void huge_values_overflow_neither_scales_nor_errors() throws IOException {
    SeriesData data = files.open(SeriesFiles.resource("huge.csv"), "series.time_column=t");
    assertThat(known(data, "").deviation()).isBetween(1e199, 1e201);
    var errors = new ForecastErrors(SequenceLossConfig.mse(), data.validation().unit());
    errors.add(3e200, 1e200);
    errors.add(3e200, 5e200);
    assertThat(errors.measures().get("mae")).isCloseTo(2e200, within(1e186));
    assertThat(errors.measures().get("rmse")).isCloseTo(2e200, within(1e186));
    Scale widest = of(-Double.MAX_VALUE, Double.MAX_VALUE);
    assertThat(widest.scaled(Double.MAX_VALUE)).isCloseTo(1, within(1e-15));
  }

  private static Scale known(SeriesData data, String id) {
    return Objects.requireNonNull(Objects.requireNonNull(data.scales().byId().get(id)).get("y"));
  }

  @Test
  void a_constant_is_forecast_as_itself() throws IOException {
    assertThat(of(5, 5, 5)).isEqualTo(new Scale(5, 0));
    assertThat(of(0, 0)).isEqualTo(new Scale(0, 0));
    assertThat(of(0.1 + 0.2, 0.3, 0.3).isConstant()).isTrue(); // but for rounding
    SeriesData data = files.open(SeriesFiles.resource("const.csv"));
    assertThat(known(data, "").original(0.7)).isEqualTo(5);
    assertThat(data.training().item(0).features()).containsOnly(0);
    assertThat(data.training().item(0).targets()).containsOnly(0);
  }

  @Test
  void a_series_that_was_constant_and_is_no_more_is_scaled_by_its_context() throws IOException {
    SeriesData data = files.open("y\n" + "1e-9\n".repeat(12) + "2e-9\n3e-9\n2e-9\n");
    SeriesWindows.Place last = data.validation().place(data.validation().size() - 1);
    assertThat(data.validation().scale(last, 0).deviation()).isBetween(1e-10, 1e-9);
  }

  @Test
  void a_series_without_a_training_value_is_scaled_by_its_context() throws IOException {
    String[] keys = {
      "series.time_column=t", "series.id_column=id", "series.missing=mask", "series.context=8"
    };
    SeriesData data = files.open(SeriesFiles.resource("lead.csv"), keys);
    assertThat(data.scales().byId().get("b")).isEmpty();
    for (long i = 0; i < data.validation().size(); i++) {
      for (float target : data.validation().item(i).targets()) {
        assertThat(Float.isNaN(target) || Math.abs(target) < 100).isTrue();
      }
    }
  }

  @Test
  void windows_without_a_target_are_left_out_and_parts_without_one_refused() throws IOException {
    assertThatThrownBy(() ->
            files.open(
                SeriesFiles.resource("alln.csv"), "series.time_column=t", "series.missing=mask"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("no target (y) has a value in the training part");
    String half = "y\n" + "1\n2\n".repeat(8) + "\n\n\nNA\n";
    assertThatThrownBy(() -> files.open(half, "series.missing=mask"))
        .hasMessageContaining("no target (y) has a value in the validation part");
    String gap = "y\n" + "1\n2\n".repeat(4) + "NA\n".repeat(6) + "1\n2\n".repeat(4);
    SeriesData data = files.open(gap, "series.missing=mask");
    for (long i = 0; i < data.training().size(); i++) {
      assertThat(data.training().item(i).targets())
          .isNotEqualTo(new float[] {Float.NaN, Float.NaN});
    }
    assertThat(data.training().size()).isBetween(3L, 12L);
  }

  @Test
  void a_scaled_value_that_float32_cannot_hold_is_refused_when_read() {
    assertThatThrownBy(() -> files.open("y\n" + "1e-300\n2e-300\n".repeat(10) + "1\n2e-300\n"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("line 22: column y is 1.0, which scaled by")
        .hasMessageContaining("float32");
    assertThatThrownBy(() ->
            files.open(
                "y\n" + "1e-300\n2e-300\n".repeat(10) + "1\n2e-300\n", "series.scaling=window"))
        .hasMessageContaining("line 22");
  }

  @Test
  void series_that_are_too_short_are_named() throws IOException {
    SeriesData data =
        files.open(
            SeriesFiles.resource("short.csv"),
            "series.time_column=t",
            "series.id_column=id",
            "series.context=8");
    assertThat(data.notes())
        .contains(
            "2 of 3 series are shorter than context + horizon (10) and are not trained on: b, c");
    assertThatThrownBy(() -> files.open("y\n1\n"))
        .hasMessageContaining("the longest series has 1 row,");
    SeriesData split =
        files.open(
            "id,y\n" + "a,1\na,2\n".repeat(10) + "b,3\nb,4\nb,3\nb,4\nb,5\n",
            "series.id_column=id");
    assertThat(split.notes()).singleElement().asString().contains("1 of 2", "not trained on: b");
  }

  @Test
  void baselines_skip_what_is_missing() throws IOException {
    SeriesData data =
        files.open("y\n" + "1\n2\n".repeat(8) + "NA\n2\n1\n2\n", "series.missing=mask");
    var naive = new SeasonalNaive(data.scales().config(), data.scales().config().quantiles(), 2);
    SeriesWindows windows = data.validation();
    int skipped = 0;
    for (long i = 0; i < windows.size(); i++) {
      double[] before = naive.predict(windows.place(i), 0);
      skipped += Double.isNaN(before[0]) ? 1 : 0;
      assertThat(Double.isNaN(before[0]) || before.length == 3).isTrue();
    }
    assertThat(skipped).isPositive();
    var none = new ForecastErrors(SequenceLossConfig.mse(), 1);
    none.add(Double.NaN, 1);
    assertThat(none.measures()).isEmpty(); // no NaN
  }

  /// @param outliers values instead of the fourth and sixth of small ones
  private List<String> notes(String... outliers) throws IOException {
    var rows = new ArrayList<String>();
    for (int i = 0; i < 40; i++) {
      rows.add("" + (1 + i % 5));
    }
    for (int i = 0; i < outliers.length; i++) {
      rows.set(3 + 2 * i, outliers[i]);
    }
    return files.open("y\n" + String.join("\n", rows) + "\n").notes();
  }

  @Test
  void a_value_beside_which_float32_cannot_tell_the_others_apart_is_warned_of() throws IOException {
    assertThat(notes("1e30"))
        .singleElement()
        .asString()
        .startsWith("warning: ")
        .contains("x.csv: line 5: column y is 1.0E30, beside which float32 cannot tell ");
    assertThat(notes("1e30", "-3e30")).singleElement().asString().contains("line 7", "-3.0E30");
    assertThat(notes("1000")).isEmpty();
    assertThat(notes()).isEmpty();
  }
}
