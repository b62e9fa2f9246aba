package io.xlstm4j.cli;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
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
    footer = {"", "Exit codes: 0 done, 1 failed, 2 wrong usage."})
public final class Main {
  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "show the whole stack trace of an error")
  private boolean verbose;

  private static final Map<String, Supplier<Object>> COMMANDS = new LinkedHashMap<>();

  static {
    COMMANDS.put("train", TrainCommand::new);
    COMMANDS.put("runs", RunsCommand::new);
    COMMANDS.put("generate", GenerateCommand::new);
    COMMANDS.put("eval", EvalCommand::new);
    COMMANDS.put("forecast", ForecastCommand::new);
    COMMANDS.put("bench", BenchCommand::new);
    COMMANDS.put("prepare", PrepareCommand::new);
    COMMANDS.put("inspect", InspectCommand::new);
    COMMANDS.put("convert", ConvertCommand::new);
    COMMANDS.put("doctor", DoctorCommand::new);
    COMMANDS.put("help", HelpCommand::new);
  }

  public static void main(String[] arguments) {
    Preparation.begin(arguments);
    System.exit(commandLine(arguments).execute(arguments));
  }

  /// The program as tests run it.
  ///
  /// @param arguments if the first names a command, the others are left out, for they take time
  static CommandLine commandLine(String... arguments) {
    var main = new Main();
    var commandLine = new CommandLine(main);
    @Nullable Supplier<Object> only = arguments.length == 0 ? null : COMMANDS.get(arguments[0]);
    if (only == null || arguments[0].equals("help")) {
      COMMANDS.forEach((name, command) -> commandLine.addSubcommand(name, command.get()));
    } else {
      commandLine.addSubcommand(arguments[0], only.get());
    }
    return commandLine
        .setUsageHelpAutoWidth(true)
        .setParameterExceptionHandler(ErrorHandlers::usage)
        .setExecutionExceptionHandler(
            (error, command, _) -> ErrorHandlers.failure(error, command, main.verbose));
  }
}
