package io.xlstm4j.train;

import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.parallel.ProcessGroup;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// The process that [KillLoopTest] kills: begins a run or goes on with it, to its end.
public final class KilledRun {
  private KilledRun() {}

  static RunConfig config(Path corpus, int steps) {
    return TinyRun.config(
        corpus,
        "training.steps=" + steps,
        "training.gradient_accumulation_steps=2",
        "optimizer.ema_decay=0.9",
        "validation.every=5",
        "checkpoints.every=1",
        "checkpoints.keep_last=2",
        "logging.tensorboard=true");
  }

  public static void main(String[] arguments) throws IOException {
    Path run = Path.of(arguments[0]);
    Path corpus = Path.of(arguments[1]);
    int steps = Integer.parseInt(arguments[2]);
    try (ProcessGroup world = ProcessGroup.of(System.getenv())) {
      boolean begun = Files.exists(run.resolve("run.yaml"));
      world.barrier(); // all have looked
      try (Trainer trainer =
          begun
              ? Trainer.resume(run, RunConfigFile.parse("", "test"), world)
              : Trainer.start(config(corpus, steps), run, world)) {
        trainer.run(() -> false);
      }
    }
  }
}
