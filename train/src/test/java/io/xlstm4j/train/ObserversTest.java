package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.parallel.SingleProcess;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Validation;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Nothing that only looks at a run can change, end or delay it.
class ObserversTest {
  private static final Duration SHORT = Duration.ofMillis(200);

  @TempDir private Path folder;
  private Path corpus;

  @BeforeEach
  void write_a_corpus() throws IOException {
    corpus = TinyRun.corpus(folder);
  }

  private Path train(String out, Callback... callbacks) {
    Path run = folder.resolve(out);
    try (var trainer = Trainer.start(TinyRun.config(corpus), run, callbacks)) {
      assertThat(trainer.run(() -> false).steps()).isEqualTo(6);
    }
    return run;
  }

  private static void assertSame(Path run, Path other) {
    for (String file :
        List.of("model.safetensors", "training/optimizer.safetensors", "samples.md")) {
      assertThat(run.resolve(file)).hasSameBinaryContentAs(other.resolve(file));
    }
  }

  /// Does one thing at every event.
  private static class AtEveryEvent implements Callback {
    private final Runnable action;

    AtEveryEvent(Runnable action) {
      this.action = action;
    }

    @Override
    public Duration timeLimit() {
      return SHORT;
    }

    @Override
    public void onPreparing(String what) {
      action.run();
    }

    @Override
    public void onWarning(String warning) {
      action.run();
    }

    @Override
    public void onStart(Run run) {
      action.run();
    }

    @Override
    public void onStep(Run run, Step step) {
      action.run();
    }

    @Override
    public void onValidation(Run run, Validation validation, boolean best) {
      action.run();
    }

    @Override
    public void onSamples(Run run, List<Task.Sample> samples) {
      action.run();
    }

    @Override
    public void onBoundary(Run run) {
      action.run();
    }

    @Override
    public void onEnd(Run run, End end) {
      action.run();
    }

    @Override
    public void close() {
      action.run();
    }
  }

  /// Collects warnings.
  private static final class Collector implements Callback {
    private final List<String> warnings = new CopyOnWriteArrayList<>();

    @Override
    public void onWarning(String warning) {
      warnings.add(warning);
    }
  }

  @ParameterizedTest
  @ValueSource(classes = {IllegalStateException.class, NoClassDefFoundError.class})
  void a_callback_that_throws_at_every_event_is_one_warning_and_changes_no_weight(
      Class<? extends Throwable> kind) {
    Path alone = train("alone");
    var collector = new Collector();
    var throwing = new AtEveryEvent(() -> sneak(kind));

    Path observed = train("observed", throwing, collector);

    assertSame(observed, alone);
    assertThat(collector.warnings)
        .singleElement()
        .asString()
        .isEqualTo(
            "callback ObserversTest$AtEveryEvent failed: %s: no; training goes on"
                .formatted(kind.getSimpleName()));
  }

  private static void sneak(Class<? extends Throwable> kind) {
    if (Error.class.isAssignableFrom(kind)) {
      throw new NoClassDefFoundError("no");
    }
    throw new IllegalStateException("no");
  }

  @Test
  void a_callback_that_never_returns_is_one_warning_and_neither_weights_nor_time_change() {
    Path alone = train("alone");
    var collector = new Collector();
    var never = new CountDownLatch(1);
    var hanging = new AtEveryEvent(() -> awaitForEver(never));
    try {
      long began = System.nanoTime();
      Path observed = train("observed", hanging, collector);
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(20));
      assertSame(observed, alone);
    } finally {
      never.countDown();
    }
    assertThat(collector.warnings)
        .singleElement()
        .asString()
        .isEqualTo(
            "callback ObserversTest$AtEveryEvent has not returned for 0.2 seconds; training goes on without it");
  }

  /// Deaf to interrupts, as a loop that never ends is.
  private static void awaitForEver(CountDownLatch never) {
    while (true) {
      try {
        never.await();
        return;
      } catch (InterruptedException e) {
        // waits on
      }
    }
  }

  @Test
  void a_run_whose_callbacks_were_left_out_is_resumed_bit_for_bit() {
    Path alone = train("alone");
    var never = new CountDownLatch(1);
    Path cut = folder.resolve("cut");
    try (var trainer =
        Trainer.start(TinyRun.config(corpus), cut, new AtEveryEvent(() -> awaitForEver(never)))) {
      trainer.run(() -> trainer.view().state().step() == 3);
    } finally {
      never.countDown();
    }
    try (var trainer = Trainer.resume(cut, RunConfigFile.parse("", "test"))) {
      assertThat(trainer.run(() -> false).steps()).isEqualTo(6);
    }
    assertSame(cut, alone);
  }

  @Test
  void a_callback_receives_all_events_in_order_with_the_run_as_it_was() {
    var events = new ArrayList<String>();
    var listener =
        new Callback() {
          @Override
          public void onStart(Run run) {
            events.add("start " + run.state().step());
          }

          @Override
          public void onStep(Run run, Step step) {
            events.add("step " + step.number() + " " + run.state().step());
          }

          @Override
          public void onValidation(Run run, Validation validation, boolean best) {
            events.add("validation " + run.state().step());
          }

          @Override
          public void onEnd(Run run, End end) {
            events.add("end " + run.state().step() + " best " + run.state().bestStep());
          }

          @Override
          public void close() {
            events.add("close");
          }
        };
    train("run", listener);
    assertThat(events)
        .containsExactly(
            "start 0",
            "validation 0",
            "step 1 1",
            "step 2 2",
            "step 3 3",
            "validation 3",
            "step 4 4",
            "step 5 5",
            "step 6 6",
            "validation 6",
            "end 6 best 6",
            "close");
  }

  @Test
  void a_callback_stops_the_run_from_its_own_thread() throws IOException {
    var reached = new CountDownLatch(1);
    var stopping =
        new Callback() {
          @Override
          public void onStep(Run run, Step step) {
            run.stop("enough of step " + step.number());
            reached.countDown();
          }
        };
    var waits =
        new SynchronousCallback() {
          @Override
          public void onBoundary(LiveRun run) {
            if (run.state().step() == 2) {
              await(reached);
            }
          }
        };
    var config = TinyRun.config(corpus, "training.steps=1000");
    Path run = folder.resolve("run");
    try (var trainer = Trainer.start(config, run, new SingleProcess(), List.of(waits), stopping)) {
      var result = trainer.run(() -> false);
      assertThat(result.steps()).isLessThanOrEqualTo(3);
      assertThat(result.end().why()).isEqualTo("enough of step 1");
      assertThat(result.end().finished()).isFalse();
    }
    assertThat(run.resolve("status.json")).content().contains("stopped");
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(20, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void files_that_cannot_be_written_are_one_warning_each_and_training_goes_on() throws IOException {
    Path run = folder.resolve("run");
    var collector = new Collector();
    var config = TinyRun.config(corpus);
    try (var trainer = Trainer.start(config, run, collector)) {
      // in the place of each file a folder, which no write can replace
      for (String file : List.of("metrics.jsonl", "report.html", "loss.png")) {
        Files.createDirectories(run.resolve(file).resolve("in the way"));
      }
      assertThat(trainer.run(() -> false).steps()).isEqualTo(6);
    }
    assertThat(collector.warnings)
        .hasSize(3)
        .allMatch(line -> line.endsWith("; training goes on"))
        .anyMatch(line -> line.startsWith("metrics.jsonl failed: "))
        .anyMatch(line -> line.startsWith("report.html failed: "))
        .anyMatch(line -> line.startsWith("loss.png failed: "));
    assertThat(run.resolve("metrics.csv")).content().contains("\n6,");
    assertThat(run.resolve("training/state.json")).content().contains("\"step\" : 6");
  }

  @Test
  void a_state_that_cannot_be_written_still_ends_the_run() throws IOException {
    Path run = folder.resolve("run");
    try (var trainer = Trainer.start(TinyRun.config(corpus), run)) {
      Files.writeString(run.resolve("training"), "in the way");
      assertThatThrownBy(() -> trainer.run(() -> false))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining("training");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "-Dsun.awt.fontconfig=/nonexistent", // Fontconfig head is null
        "--limit-modules=java.base,java.logging,java.management,java.naming,java.sql,jdk.management,jdk.unsupported,jdk.incubator.vector"
      })
  void a_java_that_cannot_draw_trains_and_warns_once(String flag) throws Exception {
    var command = new ArrayList<String>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.add(flag);
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(
        List.of(ObservedRun.class.getName(), corpus.toString(), folder.resolve("run").toString()));
    Path out = folder.resolve("out");
    Path err = folder.resolve("err");
    Process process =
        new ProcessBuilder(command)
            .redirectOutput(out.toFile())
            .redirectError(err.toFile())
            .start();
    assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
    assertThat(process.exitValue()).as(Files.readString(err)).isZero();
    assertThat(Files.readAllLines(out))
        .hasSize(2)
        .anyMatch(line -> line.startsWith("warning: loss.png failed: "))
        .contains("steps: 6");
    assertThat(folder.resolve("run/report.html")).isNotEmptyFile();
  }
}
