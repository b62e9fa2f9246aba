package io.xlstm4j.bench;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/// The official Python packages, timed by a script of ours that a Python of the user's runs.
///
/// @param python the interpreter
/// @param options for every run of the script: where the packages are
/// @param notes takes what the script says of what it leaves out
public record Peers(Path python, List<String> options, Consumer<String> notes) {
  private static final String SCRIPT = "peers.py";

  /// The beginning of a line that the script means for this program.
  private static final String NOTE = "peers: ";

  /// The variables that the launcher sets for our own process: a Python started by hand would not
  /// have it.
  private static final List<String> OUR_ENVIRONMENT =
      List.of(
          "MALLOC_ARENA_MAX",
          "MALLOC_MMAP_MAX_",
          "MALLOC_TRIM_THRESHOLD_",
          "MALLOC_TOP_PAD_",
          "OMP_WAIT_POLICY");

  public Peers {
    options = List.copyOf(options);
  }

  /// Measures the peers of one benchmark.
  ///
  /// @param arguments the benchmark's name first
  /// @throws InvalidInputException if the script cannot be run or fails; with its last line
  public List<Measurement> measure(List<String> arguments) {
    try {
      Path folder = Files.createTempDirectory("xlstm-peers");
      Path script = folder.resolve(SCRIPT);
      Path errors = folder.resolve("errors");
      try {
        copyScript(script);
        return run(script, errors, arguments);
      } finally {
        Files.deleteIfExists(script);
        Files.deleteIfExists(errors);
        Files.deleteIfExists(folder);
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          "%s cannot be run: %s".formatted(python, OneLine.reason(e)), e);
    }
  }

  private List<Measurement> run(Path script, Path errors, List<String> arguments)
      throws IOException {
    var command = new ArrayList<String>(List.of(python.toString(), script.toString()));
    command.addAll(arguments);
    command.addAll(options);
    var builder = new ProcessBuilder(command).redirectError(errors.toFile());
    OUR_ENVIRONMENT.forEach(builder.environment()::remove);
    Process process = builder.start();
    process.getOutputStream().close();
    List<String> lines = process.inputReader().lines().toList();
    int code = Processes.exitCode(process);
    List<String> said = Files.readAllLines(errors);
    if (code != 0) {
      throw new InvalidInputException(
          "%s %s ended with %d: %s"
              .formatted(
                  python,
                  arguments.getFirst(),
                  code,
                  said.isEmpty() ? "it said nothing" : OneLine.of(said.getLast())));
    }
    said.stream().filter(line -> line.startsWith(NOTE)).forEach(notes);
    return lines.stream().map(Measurement::parse).toList();
  }

  private static void copyScript(Path to) throws IOException {
    try (InputStream script = Peers.class.getResourceAsStream(SCRIPT)) {
      if (script == null) {
        throw new IllegalStateException(SCRIPT + " is not beside " + Peers.class);
      }
      Files.copy(script, to);
    }
  }
}
