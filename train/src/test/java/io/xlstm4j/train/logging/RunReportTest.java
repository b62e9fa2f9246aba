package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RunReportTest {
  private static final String HOSTILE =
      "</script><script>alert(1)</script><img src=x onerror=\"a()\">'&";

  @TempDir private Path folder;

  @Test
  void the_page_shows_title_state_curves_samples_numbers_machine_and_configuration()
      throws IOException {
    Path run = RunFiles.make(folder.resolve("tiny"), 50, 50, 2, 0.003);
    RunStatus.begun(1234, "tiny", "cpu").with(RunStatus.State.FINISHED, null).write(run);
    try (var samples = SamplesFile.open(run.resolve("samples.md"), 0)) {
      samples.text(50, "samples/0", SamplesFile.markdown("the cat", " sees"));
    }
    RunReport.write(RunReading.of(run), run.resolve("report.html"));
    assertThat(run.resolve("report.html"))
        .content()
        .contains("<h1>tiny</h1>", ">finished</span>", "<b>2.0000</b>", "validation loss, best")
        .contains("<b>Loss</b>", "<b>Speed</b>", "<b>the cat</b> sees", "Step 50")
        .contains("learning_rate", "0.003", "[1]", "validation/bits_per_byte", "Java heap");
  }

  @ParameterizedTest
  @CsvSource({
    "mse, mse of scaled values",
    "quantile, quantile of scaled values",
    "cross_entropy, nats per target",
  })
  void a_run_on_series_names_its_loss_and_counts_positions(String loss, String unit)
      throws IOException {
    Path run = RunFiles.make(folder.resolve("r"), 5, 5, 2, 0.003);
    Files.writeString(run.resolve("run.yaml"), "series:\n  loss: " + loss + "\n");
    RunReading reading = RunReading.of(run);
    assertThat(reading.lossUnit()).isEqualTo(unit);
    assertThat(RunReport.html(reading))
        .contains(unit, "positions/s", "training positions")
        .doesNotContain("nats per token", "tokens/s");
  }

  @Test
  void nothing_in_a_run_becomes_markup() throws IOException {
    Path run = RunFiles.make(folder.resolve("a<b"), 5, 5, 2, 0.003);
    RunStatus.begun(1, HOSTILE, HOSTILE).with(RunStatus.State.FAILED, HOSTILE).write(run);
    Files.writeString(run.resolve("run.yaml"), "\"" + "<i>k" + "\": '<i>v</i>'\n");
    try (var samples = SamplesFile.open(run.resolve("samples.md"), 0)) {
      samples.text(5, HOSTILE, HOSTILE + " **" + HOSTILE + "** \u0000 \uD800");
    }
    String html = RunReport.html(RunReading.of(run));
    assertThat(html).doesNotContain("<script>alert", "<img", "<i>", "\u0000", "a<b");
    assertThat(Pattern.compile("<script").matcher(html).results()).hasSize(1);
    assertThat(html).contains("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;");
  }

  @Test
  void the_page_asks_for_nothing_from_elsewhere() throws IOException {
    String html = RunReport.html(RunReading.of(RunFiles.make(folder.resolve("r"), 5, 5, 2, 0.003)));
    assertThat(html).contains("default-src 'none'");
    assertThat(html).doesNotContain("http://", "https://", "src=", "@import", "url(", "<link");
  }

  @Test
  void a_run_that_has_just_begun_has_a_page_too() throws IOException {
    Path run = Files.createDirectory(folder.resolve("new"));
    Files.writeString(run.resolve("run.yaml"), "");
    assertThat(RunReport.html(RunReading.of(run)))
        .contains("No steps yet", "unfinished", "Not recorded");
  }

  @Test
  void losses_that_are_not_finite_are_told_and_do_not_spoil_the_curve() throws IOException {
    Path run = RunFiles.make(folder.resolve("r"), 9, 5, 2, 0.003);
    try (var csv = MetricsCsv.open(run.resolve("metrics.csv"), 5)) {
      csv.scalars(6, Map.of(MetricNames.TRAIN_LOSS, Double.NaN));
      csv.scalars(7, Map.of(MetricNames.TRAIN_LOSS, Double.POSITIVE_INFINITY));
    }
    String html = RunReport.html(RunReading.of(run));
    assertThat(html).contains("training: 2 values were NaN or infinite, the first at step 6.");
    assertThat(html.replace("values were NaN", "")).doesNotContain("NaN", "Infinity", "M-", "∞");
  }

  @ParameterizedTest(name = "{0} steps")
  @ValueSource(ints = {1, 2, 1024, 1025, 100_000})
  void the_page_stays_small_however_long_the_run(int steps) throws IOException {
    Path run = RunFiles.make(folder.resolve("r"), steps, steps, 2, 0.003);
    try (var samples = SamplesFile.open(run.resolve("samples.md"), 0)) {
      for (int step = 1; step <= Math.min(steps, 3000); step++) {
        samples.text(step, "samples/0", "x".repeat(step == 1 ? 3_000_000 : 100));
      }
    }
    String html = RunReport.html(RunReading.of(run));
    assertThat(html.length()).isLessThan(1_000_000);
    assertThat(Pattern.compile("<summary>").matcher(html).results().count())
        .isEqualTo(Math.min(40, steps));
  }

  @Test
  void a_folder_that_is_no_run_is_named() {
    assertThatThrownBy(() -> RunReading.of(folder))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(folder + ": not a run: it has no run.yaml");
    assertThatThrownBy(() -> RunReading.of(folder.resolve("x"))).hasMessageContaining("no such");
  }

  @Test
  void the_state_is_killed_once_the_process_is_gone() throws Exception {
    Path run = RunFiles.make(folder.resolve("r"), 9, 5, 2, 0.003);
    assertThat(RunReading.of(run).state()).isEqualTo("unfinished");
    RunStatus own = RunStatus.begun(1, "tiny", "cpu");
    own.write(run);
    assertThat(RunReading.of(run).state()).isEqualTo("running");
    Process gone = new ProcessBuilder("true").start();
    gone.waitFor();
    new RunStatus(
            own.state(),
            own.started(),
            List.of(),
            own.updated(),
            gone.pid(),
            1,
            "tiny",
            null,
            own.machine())
        .write(run);
    assertThat(RunReading.of(run).state()).isEqualTo("killed");
    assertThat(RunStatus.read(run)).isNotNull().extracting(RunStatus::pid).isEqualTo(gone.pid());
  }

  @Test
  void the_picture_has_its_size_and_the_colours_of_both_losses() throws IOException {
    Path run = RunFiles.make(folder.resolve("r"), 50, 50, 2, 0.003);
    LossPicture.draw(RunReading.of(run).curves(), "r", run.resolve("loss.png"));
    var picture = ImageIO.read(run.resolve("loss.png").toFile());
    assertThat(picture.getWidth()).isEqualTo(960);
    assertThat(picture.getHeight()).isEqualTo(560);
    int[] pixels = picture.getRGB(0, 0, 960, 560, null, 0, 960);
    assertThat(Arrays.stream(pixels).filter(pixel -> pixel == 0xFF2A62AC).count()).isPositive();
    assertThat(Arrays.stream(pixels).filter(pixel -> pixel == 0xFFD1492E).count()).isPositive();
    LossPicture.draw(new Curves(), "nothing yet", run.resolve("empty.png"));
    assertThat(run.resolve("empty.png")).isNotEmptyFile();
  }

  @Test
  void ticks_are_round_and_inside() {
    assertThat(HtmlChart.ticks(0, 1)).containsExactly(0, 0.2, 0.4, 0.6000000000000001, 0.8, 1);
    assertThat(HtmlChart.ticks(0, 900)).containsExactly(0, 200, 400, 600, 800);
    assertThat(HtmlChart.ticks(-3, 3)).containsExactly(-2, 0, 2);
  }
}
