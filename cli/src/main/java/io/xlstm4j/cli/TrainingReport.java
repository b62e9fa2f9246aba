package io.xlstm4j.cli;

import io.xlstm4j.train.Callback;
import io.xlstm4j.train.Run;
import io.xlstm4j.train.Trainer;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.TaskInfo;
import io.xlstm4j.train.task.Validation;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// Prints a run for its user: a progress line in a terminal, a line for each validation, samples.
final class TrainingReport implements Callback {
  /// Warnings of a run are printed here, so the log need not have them too.
  private static final Logger LOG = Logger.getLogger(Trainer.class.getName());

  private final PrintWriter out;
  private final ProgressLine line;
  private @Nullable StepProgress progress; // from the first step on

  TrainingReport(PrintWriter out, boolean interactive) {
    LOG.setLevel(Level.OFF);
    this.out = out;
    this.line = new ProgressLine(out, interactive);
  }

  @Override
  public void onPreparing(String what) {
    print(what + " ...");
  }

  @Override
  public void onWarning(String warning) {
    print("warning: " + warning);
  }

  @Override
  public void onStart(Run run) {
    TaskInfo task = run.facts();
    Task.Unit unit = task.unit();
    print(format("%,d parameters: %s", task.parameters(), task.describe()));
    boolean timed = run.totalSteps() == Integer.MAX_VALUE;
    String length =
        timed
            ? format("%s minutes of steps", run.config().training().minutes())
            : format("%d steps", run.totalSteps());
    print(
        format(
            "%s: %,d %s to train on, %,d to validate; %s of %,d %s%s",
            task.name(),
            unit.count(task.trainTokens()),
            unit.name(),
            unit.count(task.validationTokens()),
            length,
            unit.count(task.tokensPerStep()),
            unit.name(),
            timed ? "" : format(", %.2f epochs", run.totalSteps() / task.stepsPerEpoch())));
    task.notes().forEach(this::print);
    RunNotes.of(run).forEach(note -> print("note: " + note));
    if (run.state().step() > 0) {
      print("going on after step " + run.state().step());
    }
  }

  @Override
  public void onStep(Run run, Step step) {
    if (progress == null) {
      progress = new StepProgress(run.facts().unit());
    }
    int all = run.totalSteps();
    if (all == Integer.MAX_VALUE) { // as many as fit into the time at the pace so far
      double over = run.state().seconds() / (60 * run.config().training().minutes());
      all = (int) Math.max(step.number(), step.number() / Math.min(1, over));
    }
    line.show(
        step.number(),
        all,
        progress.after(
            step.number(), all, step.loss(), run.facts().tokensPerStep(), step.seconds()));
  }

  @Override
  public void onSkipped(Run run, Skipped skipped) {
    print(format("step %d skipped: %s (%s)", skipped.number(), skipped.what(), skipped.origin()));
  }

  @Override
  public void onValidation(Run run, Validation validation, boolean best) {
    print(
        format(
            "step %d: validation loss %.4f%s",
            run.state().step(), validation.loss(), measures(validation)));
  }

  private static String measures(Validation validation) {
    return validation.measures().entrySet().stream()
        .map(measure -> ", " + measure.getKey().replace('_', ' ') + " " + shown(measure.getValue()))
        .collect(Collectors.joining());
  }

  /// Three decimals, or four digits of what is small or large.
  private static String shown(double value) {
    double size = Math.abs(value);
    boolean middle = value == 0 || (size >= 0.01 && size < 1e6);
    return format(middle ? "%.3f" : "%.4g", value);
  }

  @Override
  public void onSamples(Run run, List<Task.Sample> samples) {
    for (Task.Sample sample : samples) {
      print("  | " + sample.prompt() + sample.text().replaceAll("\\s*\\R\\s*", " "));
    }
  }

  @Override
  public void onEnd(Run run, End end) {
    String best =
        run.state().bestLoss() == null
            ? "no validation counted"
            : format(
                "best model%s: validation loss %.4f%s; it is of step %d",
                end.finished() ? ", on all validation data" : "",
                end.validation().loss(),
                measures(end.validation()),
                run.state().bestStep());
    print(
        format(
            "%s after step %d (%s); %s",
            end.finished() ? "done" : "stopped", run.state().step(), end.why(), best));
    print(
        end.finished()
            ? next(run)
            : "go on with: "
                + Program.command("train --resume --out " + Program.quoted(run.folder().path())));
  }

  private static String next(Run run) {
    SeriesConfig series = run.config().series();
    String folder = Program.quoted(run.folder().path());
    return series == null
        ? "write with: " + Program.command("generate --model " + folder + " --prompt \"...\"")
        : "forecast with: "
            + Program.command(
                "forecast --model " + folder + " --data " + Program.quoted(series.file()));
  }

  private void print(String text) {
    line.clear();
    out.println(text);
    out.flush();
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
