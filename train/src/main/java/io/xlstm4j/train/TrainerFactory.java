package io.xlstm4j.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.train.config.ResumeRules;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.parallel.ProcessGroup;
import io.xlstm4j.train.parallel.RankFailedException;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.run.RunLock;
import io.xlstm4j.train.run.TrainingState;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Tasks;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Makes trainers: takes the lock of the folder, opens model and data, and reads the last state.
final class TrainerFactory {
  private static final int DISCARD_ATTEMPTS = 40;
  private static final long DISCARD_NANOS = 10_000_000;

  private final ProcessGroup world;
  private final Path out;
  private final List<SynchronousCallback> hooks;
  private final Observers observers;
  private @Nullable RunLock lock; // of the first process, until the trainer has it

  TrainerFactory(
      ProcessGroup world, Path out, List<SynchronousCallback> hooks, List<Callback> callbacks) {
    this.world = world;
    this.out = out;
    this.hooks = hooks;
    this.observers = new Observers(world.isFirst() ? callbacks : List.of());
  }

  Trainer start(RunConfig config) {
    return opening(() -> {
      Torch.device(config.device());
      if (!world.isFirst()) {
        return begin(RunFolder.of(out), config);
      }
      if (RunLock.isIn(out)) {
        lock =
            RunLock.take(out); // else a run that lives would be called a folder that is not empty
      }
      @Nullable Path made = firstMissing(out);
      RunFolder folder = RunFolder.create(out);
      if (lock == null) {
        lock = RunLock.take(out);
        RunFolder.create(out); // still empty, now that nobody else may write
      }
      var cleaning = new Thread(() -> discardWhileWritten(folder, made), "xlstm-discard");
      try (var _ = whenTheProgramEnds(cleaning)) {
        folder.saveRunConfig(config); // so that it can be begun anew if it dies now
        return begin(folder, config);
      } catch (RuntimeException | Error e) {
        folder.discard(made);
        throw e;
      }
    });
  }

  private interface Registration extends AutoCloseable {
    @Override
    void close();
  }

  /// Lets a program that is asked to end before the run has begun leave nothing.
  private static Registration whenTheProgramEnds(Thread hook) {
    try {
      Runtime.getRuntime().addShutdownHook(hook);
      return () -> {
        try {
          Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
          // it ends now
        }
      };
    } catch (IllegalStateException e) {
      return () -> {};
    }
  }

  /// Removes a folder in which another thread may still make files.
  private static void discardWhileWritten(RunFolder folder, @Nullable Path made) {
    for (int i = 0; i < DISCARD_ATTEMPTS && Files.exists(folder.path()); i++) {
      try {
        folder.discard(made);
      } catch (RuntimeException e) {
        LockSupport.parkNanos(DISCARD_NANOS);
      }
    }
  }

  /// The topmost folder of a path that does not exist yet; null if all do.
  private static @Nullable Path firstMissing(Path path) {
    @Nullable Path missing = null;
    for (Path at = path.toAbsolutePath(); at != null && !Files.exists(at); at = at.getParent()) {
      missing = at;
    }
    return missing;
  }

  private Trainer begin(RunFolder folder, RunConfig config) {
    Task task = open(folder, config, null);
    try {
      var state = TrainingState.initial(world.size(), task.fingerprints());
      world.agree(facts(config, state));
      return trainer(folder, config, task, state, true);
    } catch (RuntimeException e) {
      task.close();
      throw e;
    }
  }

  private Trainer trainer(
      RunFolder folder, RunConfig config, Task task, TrainingState state, boolean fresh) {
    return new Trainer(world, folder, config, task, state, fresh, observers, hooks, this::release);
  }

  private void release() {
    if (lock != null) {
      lock.close();
      lock = null;
    }
  }

  Trainer resume(ObjectNode changes) {
    return opening(() -> {
      if (!world.isFirst()) {
        world.barrier(); // until the folder is in order
      }
      RunFolder folder = RunFolder.of(out);
      if (world.isFirst()) {
        if (Files.isDirectory(out)) {
          lock = RunLock.take(out);
        }
        folder = RunFolder.reopen(out);
        world.barrier();
      }
      RunConfig config = ResumeRules.apply(folder.readRunConfig(), changes);
      return folder.hasState() ? resumeFrom(folder, config) : begin(folder, config);
    });
  }

  private Trainer resumeFrom(RunFolder folder, RunConfig config) {
    TrainingState state = folder.readState();
    Task task = open(folder, config, folder.training());
    Trainer trainer = null;
    try {
      ResumeRules.sameFingerprints(state.fingerprints(), task.fingerprints());
      world.agree(facts(config, state));
      if (state.processes() != world.size()) {
        preparing(
            "trained by %d processes so far, now by %d: gradients are summed in another order, so results differ in their last bits"
                .formatted(state.processes(), world.size()));
      }
      trainer = trainer(folder, config, task, state, false);
      trainer.restore();
      if (world.isFirst()) {
        folder.saveRunConfig(config);
      }
      return trainer;
    } catch (RuntimeException e) {
      if (trainer == null) {
        task.close();
      } else {
        trainer.close();
      }
      throw e;
    }
  }

  /// Opens the task: files that it needs are made by the first process and found by the others.
  private Task open(RunFolder folder, RunConfig config, @Nullable Path stored) {
    if (world.size() > 1 && config.training().truncatedBptt()) {
      throw new InvalidInputException(
          "training.truncated_bptt is for one process, but there are %d".formatted(world.size()));
    }
    RunConfig own =
        world.size() > 1 && config.device().equals("cuda")
            ? config.withDevice("cuda:" + world.localRank())
            : config;
    if (!world.isFirst()) {
      world.barrier();
    }
    Task task = Tasks.open(own, folder.path(), stored, this::preparing);
    if (world.isFirst()) {
      world.barrier();
    }
    return task;
  }

  private void preparing(String what) {
    observers.submit(callback -> callback.onPreparing(what));
  }

  /// Returns the settings that all processes must share.
  private static Map<String, String> facts(RunConfig config, TrainingState state) {
    var facts = new LinkedHashMap<String, String>(state.fingerprints());
    facts.put("configuration", RunConfigFile.fingerprint(config));
    facts.put("step", Integer.toString(state.step()));
    facts.put("libtorch", Torch.version());
    facts.put("java", System.getProperty("java.version", "unknown"));
    return facts;
  }

  /// Makes a trainer; if that fails, releases what was taken for it.
  private Trainer opening(Supplier<Trainer> body) {
    try {
      return shared(world, body);
    } catch (RuntimeException | Error e) {
      observers.close();
      release();
      throw e;
    }
  }

  /// Does something, and lets the other processes fail if it fails.
  static <T> T shared(ProcessGroup world, Supplier<T> body) {
    try {
      return body.get();
    } catch (RankFailedException e) {
      throw e; // the others know
    } catch (RuntimeException e) {
      world.fail(String.valueOf(e.getMessage()));
      throw e;
    }
  }
}
