package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.train.task.Task;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ProgressLineTest {
  private static final List<String> NOTES =
      List.of("loss 3.214", "0:38 left", "11,204 tokens/s", "117 ms/step", "1:05 spent");

  private final StringWriter out = new StringWriter();
  private final AtomicLong clock = new AtomicLong();
  private final AtomicInteger width = new AtomicInteger(100);

  private ProgressLine line(boolean interactive) {
    return new ProgressLine(new PrintWriter(out), interactive, width::get, clock::get);
  }

  @Test
  void a_wide_terminal_shows_everything() {
    assertThat(ProgressLine.line(560, 900, NOTES, 120))
        .isEqualTo(
            "560/900 [##############..........]  62%  loss 3.214  0:38 left  11,204 tokens/s"
                + "  117 ms/step  1:05 spent");
  }

  @ParameterizedTest(name = "{0} columns")
  @ValueSource(ints = {0, 1, 10, 20, 40, 60, 79, 80, 119})
  void the_line_never_breaks(int columns) {
    assertThat(ProgressLine.line(560, 900, NOTES, columns)).hasSizeLessThanOrEqualTo(columns);
  }

  @Test
  void what_matters_most_stays_longest() {
    assertThat(ProgressLine.line(560, 900, NOTES, 40)).endsWith("62%  loss 3.214");
    assertThat(ProgressLine.line(560, 900, NOTES, 79)).endsWith("11,204 tokens/s  117 ms/step");
    assertThat(ProgressLine.line(560, 900, NOTES, 20)).isEqualTo("560/900  62%");
  }

  @Test
  void a_terminal_that_is_resized_gets_a_line_that_fits() {
    var line = line(true);
    line.show(1, 9, NOTES);
    width.set(30);
    clock.set(1_000_000_000);
    out.getBuffer().setLength(0);
    line.show(2, 9, NOTES);
    assertThat(out.toString()).startsWith("\r\u001B[K2/9 [").hasSizeLessThan(4 + 30);
  }

  @Test
  void a_terminal_is_drawn_at_most_ten_times_a_second_and_at_the_end() {
    var line = line(true);
    for (int step = 1; step <= 1000; step++) {
      clock.addAndGet(1_000_000);
      line.show(step, 1000, NOTES);
    }
    assertThat(out.toString().split("\r", -1)).hasSizeBetween(10, 12);
    assertThat(out.toString()).contains("1000/1000 [################] 100%");
  }

  @Test
  void without_a_terminal_a_plain_line_comes_every_thirty_seconds() {
    var line = line(false);
    for (int step = 1; step <= 100; step++) {
      clock.addAndGet(1_000_000_000);
      line.show(step, 1000, NOTES);
      line.clear();
    }
    assertThat(out.toString().lines())
        .hasSize(3)
        .first()
        .isEqualTo("30/1000    3%  " + String.join("  ", NOTES));
    assertThat(out.toString()).doesNotContain("\r", "\u001B");
  }

  @Test
  void the_time_left_counts_what_comes_between_the_steps() {
    var progress = new StepProgress(Task.Unit.TOKENS, clock::get);
    List<String> notes = List.of();
    for (int step = 11; step <= 20; step++) { // a resumed run
      clock.addAndGet(2_000_000_000L); // a step takes one second, validation another
      notes = progress.after(step, 100, 3, 512, 1);
    }
    assertThat(notes)
        .containsExactly("loss 3.000", "2:40 left", "512 tokens/s", "1.0 s/step", "0:20 spent");
  }

  @Test
  void the_first_step_is_slow_and_does_not_count() {
    var progress = new StepProgress(Task.Unit.TOKENS, clock::get);
    clock.addAndGet(60_000_000_000L);
    progress.after(1, 11, 3, 512, 60);
    List<String> notes = List.of();
    for (int step = 2; step <= 10; step++) {
      clock.addAndGet(500_000_000L);
      notes = progress.after(step, 11, 3, 512, 0.5);
    }
    assertThat(notes).contains("0:01 left"); // half a second, rounded up
  }
}
