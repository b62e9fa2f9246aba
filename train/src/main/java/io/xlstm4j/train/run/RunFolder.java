package io.xlstm4j.train.run;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.core.files.AtomicFile;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The folder of a run. At its top lies the best model so far, a checkpoint folder that any command
/// takes; in `training/` the last state to resume from, a checkpoint folder too.
///
/// ```
/// config.json  model.safetensors  tokenizer.json  manifest.json   the best model
/// run.yaml  status.json  metrics.csv  metrics.jsonl  samples.md   what happened
/// loss.png  report.html  tensorboard/                             the same to look at
/// tokens/                                                         the corpus as ids
/// training/                                                       the last state
/// checkpoints/step-0000300/                                       states that are kept
/// .lock                                                           which process trains here
/// ```
///
/// A state holds the model's files, `optimizer.safetensors`, `average.safetensors` and
/// `carried.safetensors` if the run has such, `state.json` and `run.yaml`.
public record RunFolder(Path path) {
  static final String OPTIMIZER = "optimizer.safetensors";
  static final String AVERAGE = "average.safetensors";
  static final String CARRIED = "carried.safetensors";
  static final String STATE = "state.json";
  static final String RUN = "run.yaml";

  /// Makes the folder of a new run.
  ///
  /// @throws InvalidInputException if the path is a file, a folder with something in it, or cannot
  ///   be written
  public static RunFolder create(Path path) {
    try {
      if (Files.exists(path) && !Files.isDirectory(path)) {
        throw new InvalidInputException(path + ": is a file; --out must name a folder");
      }
      Files.createDirectories(path);
      try (Stream<Path> entries = Files.list(path)) {
        if (entries.anyMatch(entry -> !entry.getFileName().toString().startsWith("."))) {
          throw new InvalidInputException(
              path + ": not empty; choose another --out, or go on with --resume");
        }
      }
      Files.delete(Files.createTempFile(path, ".writable", ".tmp"));
      return new RunFolder(path);
    } catch (FileAlreadyExistsException e) {
      throw new InvalidInputException(
          path + ": a part of this path is a file; --out must name a folder", e);
    } catch (IOException e) {
      throw new InvalidInputException(path + ": cannot be written: " + reason(e), e);
    }
  }

  /// The folder of a run that was begun, put in order if a crash left it half moved.
  ///
  /// @throws InvalidInputException if there is nothing to resume from
  public static RunFolder reopen(Path path) {
    var folder = new RunFolder(path);
    if (!Files.isDirectory(path)) {
      throw new InvalidInputException(path + ": no such folder; nothing to resume");
    }
    CheckpointFolder.recover(path);
    CheckpointFolder.recover(folder.training());
    if (Files.exists(folder.training())) {
      folder.requireWhole(); // a state appears with all its files at once
      verify(folder.training(), "start anew from the best model with --from " + path);
      verify(path, "start anew from the last state with --from " + folder.training());
    } else if (!Files.exists(path.resolve(RUN))) {
      throw new InvalidInputException(path + ": no run was begun here; nothing to resume");
    }
    return folder;
  }

  /// @param otherwise what to do if the damaged file cannot be put back
  private static void verify(Path folder, String otherwise) {
    try {
      CheckpointFolder.verify(folder);
    } catch (InvalidInputException e) {
      throw new InvalidInputException(
          "%s; put it back as it was, or %s".formatted(e.getMessage(), otherwise), e);
    }
  }

  /// Without one of these a state would pass for none, or be read unverified.
  private void requireWhole() {
    for (String name : List.of(STATE, "manifest.json")) {
      if (!Files.isRegularFile(training().resolve(name))) {
        throw new InvalidInputException(
            "%s: no such file, so the last state cannot be resumed from; put it back, or start anew from the model with --from %s"
                .formatted(training().resolve(name), path));
      }
    }
  }

  /// Returns whether there is a state to go on from; a run that died before its first has none.
  public boolean hasState() {
    return Files.exists(training().resolve(STATE));
  }

  /// Puts a kept state in the place of the last one.
  ///
  /// @throws InvalidInputException if there is no such state or it is damaged
  public void goBackTo(int step) {
    Path kept = checkpoints().resolve(StateWriter.name(step));
    if (!Files.isDirectory(kept)) {
      throw new InvalidInputException(
          "%s: no state of step %d is kept; there are %s"
              .formatted(checkpoints(), step, keptNames()));
    }
    CheckpointFolder.verify(kept);
    if (!Files.exists(kept.resolve("manifest.json")) || readState(kept).step() != step) {
      throw new InvalidInputException(
          "%s: not a complete state of step %d; there are %s".formatted(kept, step, keptNames()));
    }
    CheckpointFolder.replace(
        training(),
        staging -> {
          try (Stream<Path> files = Files.list(kept)) {
            for (Path file : files.toList()) {
              if (!file.getFileName().toString().equals("manifest.json")) {
                Files.copy(file, staging.resolve(file.getFileName()));
              }
            }
          }
        });
  }

  private String keptNames() {
    if (!Files.isDirectory(checkpoints())) {
      return "none";
    }
    try (Stream<Path> folders = Files.list(checkpoints())) {
      return folders
          .map(each -> each.getFileName().toString())
          .filter(name -> name.startsWith("step-"))
          .sorted()
          .collect(Collectors.joining(", "));
    } catch (IOException e) {
      throw new InvalidInputException(checkpoints() + ": cannot be read: " + reason(e), e);
    }
  }

  /// The same while another process has it in its hands: nothing is put in order.
  public static RunFolder of(Path path) {
    return new RunFolder(path);
  }

  /// The last state.
  public Path training() {
    return path.resolve("training");
  }

  /// States that are kept.
  public Path checkpoints() {
    return path.resolve("checkpoints");
  }

  public Path metricsCsv() {
    return path.resolve("metrics.csv");
  }

  public Path metricsJsonLines() {
    return path.resolve("metrics.jsonl");
  }

  public Path tensorboard() {
    return path.resolve("tensorboard");
  }

  public Path lossPicture() {
    return path.resolve("loss.png");
  }

  public Path report() {
    return path.resolve("report.html");
  }

  public Path samples() {
    return path.resolve("samples.md");
  }

  /// Writes the configuration of the run for the user; a state has its own copy.
  public void saveRunConfig(RunConfig run) {
    byte[] yaml = RunConfigFile.toYaml(run).getBytes(StandardCharsets.UTF_8);
    AtomicFile.write(
        path.resolve(RUN), channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(yaml)));
  }

  /// @throws InvalidInputException if another version wrote it, or it is damaged
  public TrainingState readState() {
    return readState(training());
  }

  static TrainingState readState(Path training) {
    Path file = training.resolve(STATE);
    try {
      var tree = StrictBinder.parse(Files.readString(file), file.toString());
      var format = tree.get("format");
      if (format == null || format.asInt() != TrainingState.FORMAT) {
        throw new InvalidInputException(
            "%s: written in format %s, but this version reads format %d; go on with the version that wrote it, or start anew from the model"
                .formatted(file, format == null ? "1" : format.asText(), TrainingState.FORMAT));
      }
      return StrictBinder.toRecord(tree, TrainingState.class, file.toString());
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + reason(e), e);
    }
  }

  /// Reads the configuration of the run: that of its last state, else the one it began with.
  public RunConfig readRunConfig() {
    Path file = (hasState() ? training() : path).resolve(RUN);
    return RunConfig.reread(RunConfigFile.read(file), file.toString());
  }

  public TensorSource openOptimizer() {
    return SafetensorsFile.open(training().resolve(OPTIMIZER));
  }

  /// @throws InvalidInputException if the run has no averaged weights
  public TensorSource openAverage() {
    return SafetensorsFile.open(training().resolve(AVERAGE));
  }

  /// Opens the carried recurrent states; null if the run carries none.
  public @Nullable TensorSource openCarried() {
    Path file = training().resolve(CARRIED);
    return Files.exists(file) ? SafetensorsFile.open(file) : null;
  }

  /// Removes the folder with all that is in it: only for a run that failed before its first state.
  public void discard() {
    delete(path);
  }

  /// Removes the folder, and those above it that were made for it, if nothing else is in them.
  ///
  /// @param topmost the topmost folder that was made; null if there was none but this one
  public void discard(@Nullable Path topmost) {
    discard();
    Path at = path.toAbsolutePath();
    while (topmost != null && !at.equals(topmost.toAbsolutePath())) {
      @Nullable Path parent = at.getParent();
      if (parent == null || !isEmptyFolder(parent)) {
        return;
      }
      delete(parent);
      at = parent;
    }
  }

  private static boolean isEmptyFolder(Path folder) {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.findAny().isEmpty();
    } catch (IOException e) {
      return false;
    }
  }

  static void delete(Path folder) {
    try (Stream<Path> entries = Files.walk(folder)) {
      for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(entry);
      }
    } catch (IOException e) {
      throw new InvalidInputException(folder + ": cannot be removed: " + reason(e), e);
    }
  }

  static String reason(IOException e) {
    return OneLine.reason(e);
  }
}
