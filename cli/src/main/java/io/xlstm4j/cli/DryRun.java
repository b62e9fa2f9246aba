package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.LiveRun;
import io.xlstm4j.train.RunMemory;
import io.xlstm4j.train.Trainer;
import io.xlstm4j.train.config.FollowingDefaults;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.task.Task;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/// Says what a run would be. It opens data and model as a run does, in a folder that it removes.
final class DryRun {
  private static final double MIB = 1 << 20;

  private DryRun() {}

  /// @param followers defaults to mention
  static void print(RunConfig config, List<FollowingDefaults.Follower> followers, PrintWriter out) {
    Path folder = temporary();
    try (Trainer trainer = Trainer.start(config, folder)) {
      followers.forEach(follower -> line(out, "default", "%s", follower));
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

  private static void print(LiveRun run, PrintWriter out) {
    RunConfig config = run.config();
    Task.Unit unit = run.task().unit();
    long parameters = run.task().parameters().count();
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
    memory(run, out);
    RunNotes.of(run).forEach(note -> line(out, "note", "%s", note));
    line(
        out,
        "step",
        "%,d %s in %d sequences, %d %s",
        unit.count(run.task().tokensPerStep()),
        unit.name(),
        config.training().batchSize(),
        config.training().gradientAccumulationSteps(),
        config.training().gradientAccumulationSteps() == 1 ? "micro-batch" : "micro-batches");
    line(
        out,
        "length",
        "%s",
        steps == Integer.MAX_VALUE
            ? config.training().minutes() + " minutes"
            : String.format(
                Locale.ROOT, "%,d steps, %.2f epochs", steps, steps / run.task().stepsPerEpoch()));
    out.flush();
  }

  private static void memory(LiveRun run, PrintWriter out) {
    RunMemory memory;
    try {
      memory = RunMemory.of(run);
    } catch (ArithmeticException e) {
      line(
          out,
          "memory",
          "more than any machine has: model.context_length times training.batch_size overflows");
      return;
    }
    line(
        out,
        "memory",
        "about %,.0f MiB at most: %s%,.0f for weights, gradients, moments and their copy while a state is written, %,.0f for activations%s",
        memory.total() / MIB,
        memory.program() == 0
            ? ""
            : String.format(Locale.ROOT, "%,.0f for the program, ", memory.program() / MIB),
        memory.model() / MIB,
        memory.activations() / MIB,
        memory.program() == 0 ? ", on the device" : "");
    if (memory.program() > 0
        && ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean machine
        && memory.total() > machine.getTotalMemorySize()) {
      line(
          out,
          "note",
          "this machine has %,.0f MiB; a smaller training.batch_size, a larger training.gradient_accumulation_steps or a shorter model.context_length needs less",
          machine.getTotalMemorySize() / MIB);
    }
  }

  private static void line(PrintWriter out, String name, String format, Object... values) {
    out.printf(Locale.ROOT, "%-12s%s%n", name, String.format(Locale.ROOT, format, values));
  }
}
