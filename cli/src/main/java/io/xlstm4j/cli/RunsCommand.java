package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.logging.RunReading;
import io.xlstm4j.train.logging.RunReport;
import io.xlstm4j.train.logging.RunTable;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `runs`: how several training runs went, side by side.
@Command(
    name = "runs",
    description = "Compare training runs, the best validation first.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {
      "",
      "Compared by bits per byte, which does not depend on the tokenizer; runs without",
      "come behind, by their loss. Below each run: the keys of run.yaml in which the",
      "runs differ. docs/logging.md says what the files in a run folder hold."
    })
final class RunsCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(
      paramLabel = "DIR",
      arity = "1..*",
      description = "folder of a run, or a folder of such folders")
  private List<Path> folders = List.of();

  @Option(names = "--json", description = "one line of JSON for each run")
  private boolean json;

  @Option(names = "--report", description = "also write report.html into the folder of each run")
  private boolean report;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    var runs = new ArrayList<RunReading>();
    for (Path folder : folders) {
      for (Path candidate : candidates(folder)) {
        try {
          RunReading run = RunReading.of(candidate);
          if (report) {
            RunReport.write(run, candidate.resolve("report.html"));
          }
          runs.add(run);
        } catch (InvalidInputException e) {
          err.println("xlstm: " + e.getMessage());
        }
      }
    }
    err.flush();
    var table = new RunTable(runs);
    if (json) {
      table.jsonLines().forEach(out::println);
    } else {
      table
          .lines(Terminal.isInteractive() ? Terminal.width() : RunTable.UNCUT)
          .forEach(out::println);
    }
    out.flush();
    return runs.isEmpty() ? ExitCode.SOFTWARE : ExitCode.OK;
  }

  /// The folder itself if it is a run or holds no folders, else the folders in it, by name.
  private static List<Path> candidates(Path folder) {
    if (RunReading.isRun(folder) || !Files.isDirectory(folder)) {
      return List.of(folder);
    }
    try (Stream<Path> entries = Files.list(folder)) {
      List<Path> inside =
          entries
              .filter(Files::isDirectory)
              .filter(entry -> !String.valueOf(entry.getFileName()).startsWith("."))
              .sorted()
              .toList();
      return inside.isEmpty() ? List.of(folder) : inside;
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(folder) + ": cannot be read: " + OneLine.reason(e), e);
    }
  }
}
