package io.xlstm4j.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/// The program. Every command checks its arguments, calls the library and prints; exit codes are 0
/// done, 1 failed, 2 wrong usage.
@Command(
    name = "xlstm",
    description = "Train and run xLSTM models.",
    mixinStandardHelpOptions = true,
    version = "xlstm4j 0.1.0",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      TrainCommand.class,
      RunsCommand.class,
      GenerateCommand.class,
      EvalCommand.class,
      ForecastCommand.class,
      BenchCommand.class,
      InspectCommand.class,
      ConvertCommand.class,
      DoctorCommand.class,
      HelpCommand.class
    },
    footer = {"", "Exit codes: 0 done, 1 failed, 2 wrong usage."})
public final class Main {
  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "show the whole stack trace of an error")
  private boolean verbose;

  public static void main(String[] arguments) {
    System.exit(commandLine().execute(arguments));
  }

  /// The program as tests run it.
  static CommandLine commandLine() {
    var main = new Main();
    return new CommandLine(main)
        .setUsageHelpAutoWidth(true)
        .setParameterExceptionHandler(ErrorHandlers::usage)
        .setExecutionExceptionHandler(
            (error, command, _) -> ErrorHandlers.failure(error, command, main.verbose));
  }
}
