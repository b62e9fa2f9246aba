package io.xlstm4j.cli;

import io.xlstm4j.runtime.GenerationOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `generate`: text after one or several prompts, as it comes.
@Command(
    name = "generate",
    description = "Continue prompts, printing the text as it comes.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {
      "",
      "One prompt streams token by token; of several, each is printed when it is done."
    })
final class GenerateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--model", required = true, paramLabel = "DIR", description = "checkpoint folder")
  private Path model;

  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      description = "text to continue; may be given several times; default none, a new document")
  private List<String> prompts = List.of();

  @Option(
      names = "--prompt-file",
      paramLabel = "FILE",
      description =
          "read a prompt from a UTF-8 file, or from the standard input if FILE is -; may be given"
              + " several times")
  private List<String> promptFiles = List.of();

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "128",
      description = "tokens to write at most; default ${DEFAULT-VALUE}")
  private int maxTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0.7",
      description = "0 for the likeliest token always; default ${DEFAULT-VALUE}")
  private double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      defaultValue = "0",
      description = "choose among the K likeliest tokens; 0 for all; default ${DEFAULT-VALUE}")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "0.9",
      description =
          "nucleus (top-p) sampling: choose among the fewest likeliest tokens whose probabilities"
              + " add up to P; 1 for all; default ${DEFAULT-VALUE}")
  private double topP;

  @Option(
      names = "--repetition-penalty",
      paramLabel = "R",
      defaultValue = "1",
      description = "above 1 makes tokens that were seen less likely; default ${DEFAULT-VALUE}")
  private double repetitionPenalty;

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "the same seed gives the same text; default a fresh one")
  private @Nullable Long seed;

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      description = "end before this text; may be given several times; runtime only")
  private List<String> stops = List.of();

  @Option(
      names = "--device",
      converter = DeviceName.class,
      paramLabel = "NAME",
      defaultValue = "cpu",
      description = "cpu, cuda or cuda:N; default ${DEFAULT-VALUE}")
  private String device;

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      description =
          "what runs the model: runtime, plain Java on the CPU, or torch; default runtime, but"
              + " torch on other devices")
  private @Nullable String backend;

  @Override
  public Integer call() {
    String chosen = backend == null ? (device.equals("cpu") ? "runtime" : "torch") : backend;
    GenerationOptions options = options();
    List<String> texts = PromptTexts.of(spec.commandLine(), prompts, promptFiles);
    TextOutput output = TextOutput.of(spec.commandLine().getOut(), texts);
    var leave = new Thread(output::leave, "leave");
    Runtime.getRuntime().addShutdownHook(leave);
    try {
      generate(chosen, texts, options, output);
    } finally {
      stay(leave);
    }
    return ExitCode.OK;
  }

  /// Ends the line on Ctrl-C, so that the shell's prompt begins on its own.
  private static void stay(Thread leave) {
    try {
      Runtime.getRuntime().removeShutdownHook(leave);
    } catch (IllegalStateException e) {
      return; // the program is leaving
    }
  }

  private void generate(
      String chosen, List<String> texts, GenerationOptions options, TextOutput output) {
    Consumer<String> warn = ErrorHandlers.warner(spec.commandLine());
    switch (chosen) { // two classes: only the one that runs is loaded, with its libraries
      case "runtime" -> {
        requireCpu();
        RuntimeGeneration.run(model, texts, options, output, warn);
      }
      case "torch" -> {
        requireNoStops();
        TorchGeneration.run(model, device, texts, options, output, warn);
      }
      default ->
          throw new ParameterException(
              spec.commandLine(),
              "--backend " + chosen + " is unknown; there are runtime and torch");
    }
  }

  private void requireCpu() {
    if (!device.equals("cpu")) {
      throw new ParameterException(
          spec.commandLine(),
          "--device " + device + " needs --backend torch; the runtime is for the CPU");
    }
  }

  private void requireNoStops() {
    if (!stops.isEmpty()) {
      throw new ParameterException(spec.commandLine(), "--stop needs --backend runtime");
    }
  }

  private GenerationOptions options() {
    if (maxTokens < 1) {
      throw new ParameterException(
          spec.commandLine(), "--max-tokens (" + maxTokens + ") must be positive");
    }
    if (stops.contains("")) {
      throw new ParameterException(spec.commandLine(), "--stop must not be empty");
    }
    try {
      GenerationOptions options =
          GenerationOptions.DEFAULT
              .withMaxTokens(maxTokens)
              .withTemperature(temperature)
              .withTopK(topK)
              .withTopP(topP)
              .withRepetitionPenalty(repetitionPenalty)
              .withStopStrings(stops);
      return seed == null ? options : options.withSeed(seed);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(
          spec.commandLine(), named(spec, String.valueOf(e.getMessage())), e);
    }
  }

  /// The message with the option in the place of the component that it begins with: `topK (0)` is
  /// `--top-k (0)`.
  private static String named(CommandSpec spec, String message) {
    int end = Math.max(0, message.indexOf(" ("));
    String option =
        "--" + message.substring(0, end).replaceAll("([A-Z])", "-$1").toLowerCase(Locale.ROOT);
    return spec.findOption(option) == null ? message : option + message.substring(end);
  }
}
