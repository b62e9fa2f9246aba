package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.run.RunFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A run goes on from the state that is complete, whatever lies beside it: what a crash, a copy or
/// a person left there, newer by name or by time.
class StrayFoldersTest {
  @TempDir private Path folder;

  /// @param stop the step to stop after; 0 for the end
  private Path train(String out, int stop) throws IOException {
    Path run = folder.resolve(out);
    var config =
        TinyRun.config(
            TinyRun.corpus(folder),
            "checkpoints.every=1",
            "checkpoints.keep_every=1",
            "checkpoints.keep_last=2");
    try (var trainer = Trainer.start(config, run)) {
      var asked = new AtomicInteger();
      trainer.run(() -> asked.incrementAndGet() == stop);
    }
    return run;
  }

  private static void resume(Path run) {
    try (var trainer = Trainer.resume(run, RunConfigFile.parse("", "test"))) {
      trainer.run(() -> false);
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path each : all.toList()) {
        Files.copy(each, to.resolve(from.relativize(each).toString()));
      }
    }
  }

  @Test
  void folders_that_look_newer_change_nothing() throws IOException {
    Path whole = train("whole", 0);
    Path cut = train("cut", 3);
    Path kept = cut.resolve("checkpoints");
    Files.createDirectory(kept.resolve("step-9999999")); // empty
    Path torn = Files.createDirectory(kept.resolve("step-0000099"));
    Files.copy(kept.resolve("step-0000003/state.json"), torn.resolve("state.json"));
    Files.write(torn.resolve("model.safetensors"), new byte[0]);
    copy(kept.resolve("step-0000001"), cut.resolve("training-copy"));
    copy(kept.resolve("step-0000001"), cut.resolve(".training.old"));
    Path filling = Files.createDirectory(cut.resolve(".training.new")); // a crash while it filled
    Files.writeString(filling.resolve("state.json"), "{\"format\": 2, \"step\": 5");
    Files.writeString(Files.createDirectory(kept.resolve("step-old")).resolve("notes.txt"), "mine");

    resume(cut);

    for (String file : new String[] {"model", "optimizer"}) {
      String name = "training/" + file + ".safetensors";
      assertThat(cut.resolve(name)).hasSameBinaryContentAs(whole.resolve(name));
    }
    CheckpointFolder.verify(cut.resolve("training"));
    assertThat(kept.resolve("step-old/notes.txt")).hasContent("mine");
  }

  @Test
  void a_complete_state_that_was_not_renamed_yet_is_the_one_to_go_on_from() throws IOException {
    Path whole = train("whole", 0);
    Path cut = train("cut", 3);
    // the crash came between the two renames: the old one is aside, the new one not yet in place
    Files.move(cut.resolve("training"), cut.resolve(".training.new"));
    copy(cut.resolve("checkpoints/step-0000002"), cut.resolve(".training.old"));

    assertThat(RunFolder.reopen(cut).readState().step()).isEqualTo(3);
    resume(cut);

    assertThat(cut.resolve("training/model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("training/model.safetensors"));
    assertThat(cut.resolve(".training.new")).doesNotExist();
    assertThat(cut.resolve(".training.old")).doesNotExist();
  }

  @Test
  void going_back_to_a_damaged_or_empty_state_is_refused_and_changes_nothing() throws IOException {
    Path run = train("run", 3);
    Path kept = run.resolve("checkpoints");
    Files.createDirectory(kept.resolve("step-0000007"));
    Files.write(kept.resolve("step-0000002/optimizer.safetensors"), new byte[0]);
    byte[] before = Files.readAllBytes(run.resolve("training/model.safetensors"));
    for (int step : new int[] {2, 7, 8, -1}) {
      assertThatThrownBy(() -> RunFolder.reopen(run).goBackTo(step), "step %d", step)
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining(step == 2 ? "optimizer.safetensors" : "checkpoints");
      assertThat(run.resolve("training/model.safetensors")).hasBinaryContent(before);
    }
    RunFolder.reopen(run).goBackTo(1);
    assertThat(RunFolder.of(run).readState().step()).isEqualTo(1);
  }
}
