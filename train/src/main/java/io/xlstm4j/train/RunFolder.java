package io.xlstm4j.train;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.text.Tokenizers;
import io.xlstm4j.torch.Checkpoint;
import io.xlstm4j.torch.XlstmLanguageModel;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;

/// The folder of a run. At its top lies the best model so far, a checkpoint folder that any command
/// takes; in `training/` the last state to resume from, a checkpoint folder too.
///
/// ```
/// config.json  model.safetensors  tokenizer.json  manifest.json   the best model
/// run.yaml  metrics.csv  loss.png  samples.md                     what happened
/// tokens/                                                         the corpus as ids
/// training/                                                       the last state
/// ```
record RunFolder(Path path) {
  private static final String OPTIMIZER = "optimizer.safetensors";
  private static final String STATE = "state.json";
  private static final String RUN = "run.yaml";

  /// Makes the folder of a new run.
  ///
  /// @throws InvalidInputException if the path is a file, a folder with something in it, or cannot
  ///   be written
  static RunFolder create(Path path) {
    try {
      if (Files.exists(path) && !Files.isDirectory(path)) {
        throw new InvalidInputException(path + ": is a file; --out must name a folder");
      }
      Files.createDirectories(path);
      try (Stream<Path> entries = Files.list(path)) {
        if (entries.findAny().isPresent()) {
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

  /// The folder of a run that was begun.
  ///
  /// @throws InvalidInputException if there is nothing to resume from
  static RunFolder reopen(Path path) {
    var folder = new RunFolder(path);
    if (!Files.isDirectory(path)) {
      throw new InvalidInputException(path + ": no such folder; nothing to resume");
    }
    CheckpointFolder.recover(path);
    CheckpointFolder.recover(folder.training());
    if (!Files.exists(folder.training().resolve(STATE))) {
      throw new InvalidInputException(path + ": no training state here; nothing to resume");
    }
    CheckpointFolder.verify(folder.training());
    return folder;
  }

  Path training() {
    return path.resolve("training");
  }

  Path tokenizer() {
    return path.resolve(Tokenizers.FILE_NAME);
  }

  Path tokens(String split) {
    return path.resolve("tokens").resolve(split + ".tokens");
  }

  Path metrics() {
    return path.resolve("metrics.csv");
  }

  Path lossPicture() {
    return path.resolve("loss.png");
  }

  Path samples() {
    return path.resolve("samples.md");
  }

  /// Stores the best model at the top.
  void saveBest(XlstmLanguageModel model, CheckpointConfig config) {
    CheckpointFolder.update(path, staging -> writeModel(staging, model, config));
  }

  /// Stores all that a run needs to go on.
  void saveTraining(
      XlstmLanguageModel model,
      CheckpointConfig config,
      AdamW optimizer,
      TrainingState state,
      RunConfig run) {
    CheckpointFolder.replace(
        training(),
        staging -> {
          writeModel(staging, model, config);
          try (var _ = new PointerScope()) {
            SafetensorsWriter.write(staging.resolve(OPTIMIZER), optimizer.state(), Map.of());
          }
          Files.writeString(
              staging.resolve(STATE), StrictBinder.toJson(StrictBinder.toTree(state)));
          Files.writeString(staging.resolve(RUN), RunConfigFile.toYaml(run));
        });
  }

  private void writeModel(Path staging, XlstmLanguageModel model, CheckpointConfig config)
      throws IOException {
    Checkpoint.save(model, staging.resolve(Checkpoint.WEIGHTS));
    Files.writeString(staging.resolve(CheckpointConfig.FILE_NAME), config.toJson());
    if (Files.exists(tokenizer())) {
      Files.copy(tokenizer(), staging.resolve(Tokenizers.FILE_NAME));
    }
  }

  void saveRunConfig(RunConfig run) {
    try {
      Files.writeString(path.resolve(RUN), RunConfigFile.toYaml(run));
    } catch (IOException e) {
      throw new InvalidInputException(path.resolve(RUN) + ": cannot be written: " + reason(e), e);
    }
  }

  TrainingState readState() {
    Path file = training().resolve(STATE);
    try {
      return StrictBinder.toRecord(
          StrictBinder.parse(Files.readString(file), file.toString()),
          TrainingState.class,
          file.toString());
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + reason(e), e);
    }
  }

  RunConfig readRunConfig() {
    Path file = training().resolve(RUN);
    return RunConfig.DEFAULT.with(RunConfigFile.read(file), file.toString());
  }

  TensorSource openOptimizer() {
    return SafetensorsFile.open(training().resolve(OPTIMIZER));
  }

  /// Removes the folder with all that is in it: only for a run that failed before its first state.
  void discard() {
    try (Stream<Path> entries = Files.walk(path)) {
      for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(entry);
      }
    } catch (IOException e) {
      throw new InvalidInputException(path + ": cannot be removed: " + reason(e), e);
    }
  }

  private static String reason(IOException e) {
    @Nullable String message = e.getMessage();
    return e.getClass().getSimpleName() + (message == null ? "" : ": " + message);
  }
}
