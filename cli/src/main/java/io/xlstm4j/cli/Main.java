package io.xlstm4j.cli;

import io.xlstm4j.core.JdkFaults;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/// The program. Every command checks its arguments, calls the library and prints; exit codes are 0
/// done, 1 failed, 2 wrong usage. Without a command it prints its help and ends with 2.
@Command(
    name = "xlstm",
    description = "Train and run xLSTM models.",
    mixinStandardHelpOptions = true,
    version = "xlstm4j 0.1.0",
    synopsisSubcommandLabel = "COMMAND",
    footer = {
      "",
      "Try: ${ROOT-COMMAND-NAME} COMMAND --help",
      "Exit codes: 0 done, 1 failed, 2 wrong usage or no command."
    })
public final class Main implements Callable<Integer> {
  @Spec private CommandSpec spec;

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
    COMMANDS.put("bundle", BundleCommand::new);
    COMMANDS.put("help", HelpCommand::new);
  }

  public static void main(String[] arguments) {
    Locale.setDefault(Locale.ROOT); // numbers and messages are the same in every locale
    if (arguments.length == 0 || !arguments[0].equals("doctor")) { // which has a line for it
      JdkFaults.here().ifPresent(fault -> System.err.println("xlstm: " + fault));
    }
    JdkFaults.doNotLog();
    Preparation.begin(arguments);
    System.exit(execute(arguments));
  }

  private static int execute(String[] arguments) {
    try {
      return commandLine(arguments).execute(arguments);
    } catch (OutOfMemoryError e) {
      System.err.printf(
          Locale.ROOT,
          "xlstm: Java's heap of %d MiB is full (%s); give it more, such as JDK_JAVA_OPTIONS=-Xmx4g%n",
          Runtime.getRuntime().maxMemory() >> 20,
          e.getMessage());
      return ExitCode.SOFTWARE;
    }
  }

  @Override
  public Integer call() {
    spec.commandLine().usage(spec.commandLine().getOut());
    return ExitCode.USAGE;
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
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setCommandName(Program.name())
        .setUsageHelpAutoWidth(true)
        .setParameterExceptionHandler(ErrorHandlers::usage)
        .setExecutionExceptionHandler(
            (error, command, _) -> ErrorHandlers.failure(error, command, main.verbose));
  }
}
