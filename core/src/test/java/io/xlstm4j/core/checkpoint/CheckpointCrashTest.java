package io.xlstm4j.core.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Dies after each single step, and in recovery after each single step again.
class CheckpointCrashTest {
  private static final Map<String, String> OLD =
      Map.of(
          "config.json", "old config", "model.safetensors", "old weights", "training/rng", "old");
  private static final Map<String, String> NEW =
      Map.of(
          "model.safetensors", "new, longer weights", "training/rng", "new", "training/sub/m", "n");
  private static final Map<String, String> UPDATED =
      Map.of(
          "config.json", "old config",
          "model.safetensors", "new, longer weights",
          "training/rng", "new",
          "training/sub/m", "n");

  private static final CheckpointFolder WITHOUT_SYNC = new CheckpointFolder(new CrashingOps());

  @TempDir Path temporary;
  private int places = 0;
  private boolean lastRunFinished = false;

  enum Kind {
    UPDATE,
    REPLACE;

    void run(CheckpointFolder folder, Path dir, CheckpointFolder.Filler filler) {
      switch (this) {
        case UPDATE -> folder.updateWith(dir, filler);
        case REPLACE -> folder.replaceWith(dir, filler);
      }
    }

    Map<String, String> result() {
      return this == UPDATE ? UPDATED : NEW;
    }
  }

  @Test
  void a_crash_in_update_leaves_old_or_new() throws Exception {
    crashEverywhere(Kind.UPDATE, true);
  }

  @Test
  void a_crash_in_replace_leaves_old_or_new() throws Exception {
    crashEverywhere(Kind.REPLACE, true);
  }

  @Test
  void a_crash_in_the_first_update_leaves_nothing_or_new() throws Exception {
    crashEverywhere(Kind.UPDATE, false);
  }

  @Test
  void a_crash_in_the_first_replace_leaves_nothing_or_new() throws Exception {
    crashEverywhere(Kind.REPLACE, false);
  }

  private void crashEverywhere(Kind kind, boolean hasOld) throws Exception {
    Map<String, String> before = hasOld ? OLD : Map.of();
    Map<String, String> after = hasOld ? kind.result() : NEW;
    boolean committed = false;
    int outcomes = 0;
    for (int steps = 0; ; steps++) {
      Path parent = crashed(kind, hasOld, steps);
      boolean finished = lastRunFinished;
      if (!finished) {
        requireEachFileWhole(parent.resolve("out"), before, after);
      }

      boolean isNew = recoveredTo(parent, steps, before, after);
      assertThat(isNew || !committed).as("step %d: new stays new", steps).isTrue();
      outcomes += isNew == committed ? 0 : 1;
      committed = isNew;

      // Recovery itself dies, at every step of its own, and is then run again.
      for (int more = 0; ; more++) {
        Path again = crashed(kind, hasOld, steps);
        var dying = new CrashingOps(more);
        boolean survived = true;
        try {
          new CheckpointFolder(dying).recoverWith(again.resolve("out"));
        } catch (CrashingOps.Crash e) {
          survived = false;
        }
        assertThat(recoveredTo(again, steps, before, after)).isEqualTo(isNew);
        if (survived) {
          break;
        }
      }
      // A reader that comes before any recovery sees old or new as well.
      Path read = crashed(kind, hasOld, steps);
      if (isNew || hasOld) {
        WITHOUT_SYNC.openWith(read.resolve("out"));
        assertThat(visible(read.resolve("out"))).isIn(before, after);
        recoveredTo(read, steps, before, after);
      }
      if (finished) {
        assertThat(isNew).isTrue();
        assertThat(steps).as("steps of one run").isGreaterThan(10);
        break;
      }
    }
    assertThat(outcomes).as("both outcomes were met").isEqualTo(1);
  }

  /// A new place with the old checkpoint, where a writer died after `steps` steps.
  private Path crashed(Kind kind, boolean hasOld, int steps) throws IOException {
    Path parent = Files.createDirectory(temporary.resolve("place" + places++));
    Path dir = parent.resolve("out");
    if (hasOld) {
      WITHOUT_SYNC.replaceWith(dir, staging -> writeAll(staging, OLD, null));
    }
    var ops = new CrashingOps(steps);
    try {
      kind.run(new CheckpointFolder(ops), dir, staging -> writeAll(staging, NEW, ops));
      lastRunFinished = true;
    } catch (CrashingOps.Crash e) {
      lastRunFinished = false;
    }
    return parent;
  }

  private static void writeAll(Path staging, Map<String, String> files, @Nullable CrashingOps ops)
      throws IOException {
    for (var file : new TreeMap<>(files).entrySet()) {
      Path path = staging.resolve(file.getKey());
      int slash = file.getKey().lastIndexOf('/');
      if (slash > 0) {
        Files.createDirectories(staging.resolve(file.getKey().substring(0, slash)));
      }
      if (ops != null) {
        Files.writeString(path, file.getValue().substring(1));
        ops.step("fill " + file.getKey());
      }
      Files.writeString(path, file.getValue(), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    }
  }

  /// Recovers, requires all of old or all of new and nothing else, and says whether it was new.
  private static boolean recoveredTo(
      Path parent, int steps, Map<String, String> before, Map<String, String> after)
      throws IOException {
    Path dir = parent.resolve("out");
    WITHOUT_SYNC.recoverWith(dir);
    Map<String, String> found = everything(dir);
    assertThat(found).as("after %d steps", steps).isIn(before, after);
    if (!found.isEmpty()) {
      CheckpointFolder.verify(dir);
      assertThat(dir.resolve("manifest.json")).exists();
    }
    try (var entries = Files.list(parent)) {
      assertThat(entries)
          .as("what is there after %d steps", steps)
          .containsExactlyElementsOf(found.isEmpty() ? List.of() : List.of(dir));
    }
    return found.equals(after);
  }

  private static void requireEachFileWhole(
      Path dir, Map<String, String> before, Map<String, String> after) throws IOException {
    visible(dir)
        .forEach((name, content) ->
            assertThat(content).as(name).isIn(before.get(name), after.get(name)));
  }

  /// All files but the manifest.
  private static Map<String, String> everything(Path dir) throws IOException {
    var files = new TreeMap<String, String>();
    if (Files.exists(dir)) {
      try (var all = Files.walk(dir)) {
        for (Path file : all.filter(Files::isRegularFile).toList()) {
          files.put(dir.relativize(file).toString(), Files.readString(file));
        }
      }
    }
    files.remove("manifest.json");
    return files;
  }

  /// All files that a reader looks at.
  private static Map<String, String> visible(Path dir) throws IOException {
    Map<String, String> files = everything(dir);
    files.keySet().removeIf(name -> name.startsWith("."));
    return files;
  }

  /// The process lives, one step fails, for example because the disk is full.
  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"UPDATE", "REPLACE"})
  void one_failing_step_leaves_old_or_new(Kind kind) throws Exception {
    int failures = 0;
    for (int n = 0; ; n++) {
      Path parent = Files.createDirectory(temporary.resolve("place" + places++));
      Path dir = parent.resolve("out");
      WITHOUT_SYNC.replaceWith(dir, staging -> writeAll(staging, OLD, null));
      var ops = new FailingOps(n);
      boolean failed = false;
      try {
        kind.run(new CheckpointFolder(ops), dir, staging -> writeAll(staging, NEW, null));
      } catch (InvalidInputException e) {
        failed = true;
        failures++;
        assertThat(e)
            .message()
            .startsWith(dir + ": cannot be written: ")
            .endsWith("No space left on device")
            .hasLineCount(1);
      }
      boolean isNew = recoveredTo(parent, n, OLD, kind.result());
      assertThat(isNew || failed).isTrue();
      if (!ops.hasFailed()) {
        break;
      }
    }
    assertThat(failures).isGreaterThan(10);
  }

  @Test
  void everything_is_synced_before_it_counts() throws Exception {
    Path dir = temporary.resolve("out");
    WITHOUT_SYNC.replaceWith(dir, staging -> writeAll(staging, OLD, null));
    var ops = new CrashingOps();
    new CheckpointFolder(ops).updateWith(dir, staging -> writeAll(staging, NEW, null));
    assertThat(ops.log)
        .containsExactly(
            "create .update.new",
            "sync model.safetensors",
            "sync rng",
            "sync m",
            "begin .manifest.json.tmp",
            "write .manifest.json.tmp",
            "sync .manifest.json.tmp",
            "move .manifest.json.tmp to manifest.json",
            "sync .update.new",
            "sync training",
            "sync sub",
            "move .update.new to .update.ready",
            "sync out",
            "delete manifest.json",
            "sync out",
            "move model.safetensors to model.safetensors",
            "move rng to rng",
            "create sub",
            "move m to m",
            "sync out",
            "sync training",
            "sync sub",
            "move manifest.json to manifest.json",
            "sync out",
            "delete sub",
            "delete training",
            "delete .update.ready");
  }
}
