package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.core.files.AtomicFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// `status.json` of a run folder: how the run is doing and where it runs. Written at the start,
/// when the run ends, and as often between as one likes.
///
/// @param state what the run last said of itself
/// @param started when the run began, ISO 8601, UTC
/// @param resumed when it was resumed, each time
/// @param updated when this was written
/// @param pid process of the run
/// @param parameters of the model
/// @param corpus its name
/// @param message why the run failed, else null
/// @param machine where it runs
public record RunStatus(
    State state,
    String started,
    List<String> resumed,
    String updated,
    long pid,
    long parameters,
    String corpus,
    @Nullable String message,
    SystemInfo machine) {
  public RunStatus {
    resumed = resumed == null ? List.of() : List.copyOf(resumed); // older files do not have it
  }

  /// The file's name in a run folder.
  public static final String FILE_NAME = "status.json";

  /// The state of a run.
  public enum State {
    RUNNING,
    FINISHED,
    STOPPED,
    FAILED,
    /// Says it runs, but its process is gone. Found by [RunStatus#stateNow], never written.
    KILLED;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /// Returns the status of a run that this process begins now.
  ///
  /// @param device what the tensors are on
  public static RunStatus begun(long parameters, String corpus, String device) {
    String now = now();
    return new RunStatus(
        State.RUNNING,
        now,
        List.of(),
        now,
        ProcessHandle.current().pid(),
        parameters,
        corpus,
        null,
        SystemInfo.here(device));
  }

  /// The same run, later.
  ///
  /// @param message why it failed, else null
  public RunStatus with(State next, @Nullable String message) {
    return new RunStatus(next, started, resumed, now(), pid, parameters, corpus, message, machine);
  }

  /// Returns the status of a run that this process resumes.
  ///
  /// @param before what was written last; null if there is nothing
  public RunStatus resuming(@Nullable RunStatus before) {
    if (before == null) {
      return this;
    }
    var times = new ArrayList<String>(before.resumed);
    times.add(started);
    return new RunStatus(
        state, before.started, times, updated, pid, parameters, corpus, message, machine);
  }

  private static String now() {
    return Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
  }

  /// Writes the file, as one step.
  ///
  /// @throws InvalidInputException if the disk refuses
  public void write(Path runFolder) {
    byte[] json = StrictBinder.toJson(StrictBinder.toTree(this)).getBytes(StandardCharsets.UTF_8);
    AtomicFile.write(
        runFolder.resolve(FILE_NAME),
        channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(json)));
  }

  /// Reads the file; null if there is none.
  ///
  /// @throws InvalidInputException if it cannot be read
  public static @Nullable RunStatus read(Path runFolder) {
    Path file = runFolder.resolve(FILE_NAME);
    if (!Files.exists(file)) {
      return null;
    }
    try {
      String source = OneLine.of(file);
      return StrictBinder.toRecord(
          StrictBinder.parse(Files.readString(file), source), RunStatus.class, source);
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(file) + ": cannot be read: " + OneLine.reason(e), e);
    }
  }

  /// The state, with a look at the process if it ran on this machine.
  public State stateNow() {
    return state == State.RUNNING && machine.host().equals(SystemInfo.hostName()) && !isAlive()
        ? State.KILLED
        : state;
  }

  private boolean isAlive() {
    Optional<ProcessHandle> process = ProcessHandle.of(pid).filter(ProcessHandle::isAlive);
    // another process may have the number by now: one that began after the last word of this run
    return process.isPresent()
        && process
            .flatMap(found -> found.info().startInstant())
            .map(began -> !began.isAfter(Instant.parse(updated).plusSeconds(1)))
            .orElse(true);
  }
}
