package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.Run;
import io.xlstm4j.train.Trainer;
import io.xlstm4j.train.config.OptimizerConfig;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.task.Task;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/// Says what a run would be. It opens data and model as a run does, in a folder that it removes.
final class DryRun {
  private static final double MIB = 1 << 20;

  private DryRun() {}

  static void print(RunConfig config, PrintWriter out) {
    Path folder = temporary();
    try (Trainer trainer = Trainer.start(config, folder)) {
      print(trainer.view(), out);
    } finally {
      if (Files.exists(folder)) {
        RunFolder.of(folder).discard();
      }
    }
  }

  private static Path temporary() {
    try {
      return Files.createTempDirectory("xlstm-dry-run");
    } catch (IOException e) {
      throw new InvalidInputException("no temporary folder can be made: " + e.getMessage(), e);
    }
  }

  private static void print(Run run, PrintWriter out) {
    RunConfig config = run.config();
    OptimizerConfig optimizer = config.optimizer();
    Task.Unit unit = run.task().unit();
    long parameters = run.task().parameters().count();
    int copies = optimizer.emaDecay() > 0 ? 5 : 4; // weights, gradients, two moments, averages
    int steps = run.totalSteps();
    line(
        out,
        "data",
        "%s: %,d %s to train on, %,d to validate",
        run.task().name(),
        unit.count(run.task().trainTokens()),
        unit.name(),
        unit.count(run.task().validationTokens()));
    run.task().notes().forEach(note -> line(out, "note", "%s", note));
    line(out, "model", "%s", run.task().describe());
    if (config.from() != null) {
      line(out, "from", "%s", config.from());
    }
    line(out, "parameters", "%,d", parameters);
    line(
        out,
        "memory",
        "%,.0f MiB for weights, gradients and moments; activations come on top, and a copy while a state is written",
        copies * parameters * Float.BYTES / MIB);
    line(
        out,
        "step",
        "%,d %s in %d rows, %d parts one after the other",
        unit.count(run.task().tokensPerStep()),
        unit.name(),
        config.training().batchSize(),
        config.training().accumulate());
    line(
        out,
        "length",
        "%s, %.2f epochs",
        steps == Integer.MAX_VALUE
            ? config.training().minutes() + " minutes"
            : String.format(Locale.ROOT, "%,d steps", steps),
        steps == Integer.MAX_VALUE ? Double.NaN : steps / run.task().stepsPerEpoch());
    out.flush();
  }

  private static void line(PrintWriter out, String name, String format, Object... values) {
    out.printf(Locale.ROOT, "%-12s%s%n", name, String.format(Locale.ROOT, format, values));
  }
}
