package io.xlstm4j.train.run;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.torch.Checkpoint;
import io.xlstm4j.train.config.CheckpointsConfig;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Writes models and states of a run on a thread of its own, one after the other.
///
/// Tensors are copied before a call returns, so training may go on at once; one job waits at most,
/// so memory holds at most two copies. What went wrong is thrown by the next call.
public final class StateWriter implements AutoCloseable {
  private final RunFolder folder;
  private final CheckpointsConfig config;
  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(
          Thread.ofPlatform().name("xlstm-checkpoints").daemon().factory());
  private @Nullable Future<?> last;

  public StateWriter(RunFolder folder, CheckpointsConfig config) {
    this.folder = folder;
    this.config = config;
  }

  /// A model: its tensors, valid as long as the caller's scope is open, and its other files.
  public record Model(List<TensorData> weights, SequencedMap<String, byte[]> files) {}

  /// Stores the best model at the top of the run.
  public void saveBest(Model model) {
    var copy = new Snapshot();
    var weights = copy.copy(model.weights());
    submit(
        copy,
        () ->
            CheckpointFolder.update(
                folder.path(), staging -> write(staging, weights, model.files())));
  }

  /// All that a run needs to go on.
  ///
  /// @param average averaged weights; empty if the run has none
  /// @param carried what steps carry on; empty if they carry nothing
  public record Full(
      Model model,
      List<TensorData> optimizer,
      List<TensorData> average,
      List<TensorData> carried,
      TrainingState state,
      RunConfig run) {}

  /// Stores the last state, and keeps it under its step if the rules want that.
  public void saveState(Full full) {
    var copy = new Snapshot();
    var weights = copy.copy(full.model.weights());
    var optimizer = copy.copy(full.optimizer);
    var average = copy.copy(full.average);
    var carried = copy.copy(full.carried);
    submit(
        copy,
        () -> {
          CheckpointFolder.replace(
              folder.training(),
              staging -> {
                write(staging, weights, full.model.files());
                SafetensorsWriter.write(staging.resolve(RunFolder.OPTIMIZER), optimizer, Map.of());
                writeUnlessEmpty(staging.resolve(RunFolder.AVERAGE), average);
                writeUnlessEmpty(staging.resolve(RunFolder.CARRIED), carried);
                Files.writeString(
                    staging.resolve(RunFolder.STATE),
                    StrictBinder.toJson(StrictBinder.toTree(full.state)));
                Files.writeString(staging.resolve(RunFolder.RUN), RunConfigFile.toYaml(full.run));
              });
          if (config.keepsAny()) {
            keep(full.state.step());
          }
        });
  }

  private static void write(
      Path staging, List<TensorData> weights, SequencedMap<String, byte[]> files)
      throws IOException {
    SafetensorsWriter.write(staging.resolve(Checkpoint.WEIGHTS), weights, Checkpoint.METADATA);
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      Files.write(staging.resolve(file.getKey()), file.getValue());
    }
  }

  private static void writeUnlessEmpty(Path file, List<TensorData> tensors) {
    if (!tensors.isEmpty()) {
      SafetensorsWriter.write(file, tensors, Map.of());
    }
  }

  /// Links the files of the last state to a folder of their own, which costs no space until the
  /// next state replaces them, and drops the kept states that no rule wants any more.
  private void keep(int step) {
    Path target = folder.checkpoints().resolve(name(step));
    Path staging = folder.checkpoints().resolve("." + name(step) + ".new");
    try {
      Files.createDirectories(folder.checkpoints());
      if (Files.exists(staging)) {
        RunFolder.delete(staging); // a crash left it
      }
      Files.createDirectory(staging);
      try (Stream<Path> files = Files.list(folder.training())) {
        for (Path file : files.toList()) {
          linkOrCopy(file, staging.resolve(file.getFileName()));
        }
      }
      if (Files.exists(target)) {
        RunFolder.delete(target); // of a part of the run that is done again
      }
      Files.move(staging, target);
      for (int doomed : Retention.doomed(kept(), config)) {
        RunFolder.delete(folder.checkpoints().resolve(name(doomed)));
      }
    } catch (IOException e) {
      throw new InvalidInputException(target + ": cannot be written: " + RunFolder.reason(e), e);
    }
  }

  private static void linkOrCopy(Path file, Path target) throws IOException {
    try {
      Files.createLink(target, file);
    } catch (IOException | UnsupportedOperationException e) {
      Files.copy(file, target); // a file system without hard links
    }
  }

  private List<Retention.Kept> kept() throws IOException {
    var kept = new ArrayList<Retention.Kept>();
    try (Stream<Path> folders = Files.list(folder.checkpoints())) {
      for (Path each : folders.toList()) {
        if (each.getFileName().toString().matches("step-\\d{7,}")) {
          Retention.Kept state = stateOf(each);
          if (state != null) {
            kept.add(state);
          }
        }
      }
    }
    return kept;
  }

  /// Null for a folder that is not the state of the step that it is named after: a crash or a copy
  /// left it, and it is neither counted nor removed.
  private static Retention.@Nullable Kept stateOf(Path kept) {
    try {
      TrainingState state = RunFolder.readState(kept);
      return kept.getFileName().toString().equals(name(state.step()))
          ? new Retention.Kept(state.step(), state.validationLoss())
          : null;
    } catch (InvalidInputException e) {
      return null;
    }
  }

  static String name(int step) {
    return String.format(Locale.ROOT, "step-%07d", step);
  }

  private void submit(Snapshot copy, Runnable job) {
    try {
      await();
    } catch (RuntimeException e) {
      copy.close();
      throw e;
    }
    last =
        thread.submit(() -> {
          try (copy) {
            job.run();
          }
        });
  }

  /// Waits until all is on the disk.
  ///
  /// @throws InvalidInputException if the disk refused; what was there before is still there
  public void await() {
    @Nullable Future<?> waiting = last;
    last = null;
    if (waiting == null) {
      return;
    }
    try {
      waiting.get();
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case RuntimeException refused -> throw refused;
        case Error error -> throw error;
        case null, default -> throw new AssertionError(e);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a state was written", e);
    }
  }

  /// Returns whether the last one is done or failed, so that a call would not wait.
  boolean idle() {
    return last == null || last.isDone();
  }

  /// Waits for what was begun and ends the thread.
  @Override
  public void close() {
    thread.shutdown();
    try {
      await();
    } finally {
      thread.close();
    }
  }
}
