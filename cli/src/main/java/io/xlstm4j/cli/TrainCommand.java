package io.xlstm4j.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.train.Trainer;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.config.StartingModel;
import io.xlstm4j.train.parallel.LocalRanks;
import io.xlstm4j.train.parallel.World;
import io.xlstm4j.train.run.RunFolder;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `train`: a run from its configuration to its folder.
@Command(
    name = "train",
    description = "Train a language model; without arguments, a small one on WordNet.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {
      "",
      "Every key of the configuration can be given as key=value, for example",
      "  xlstm train training.steps=2000 model.num_blocks=6 'model.slstm_at=[1, 3]'",
      "The folder holds the best model, report.html, metrics.csv, loss.png, samples.md, and",
      "in training/ the state that --resume goes on from. Ctrl-C saves that state."
    })
final class TrainCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--config", paramLabel = "FILE", description = "run configuration, YAML")
  private @Nullable Path config;

  @Option(
      names = "--data",
      paramLabel = "CORPUS",
      description =
          "wordnet, a prepared folder, a folder with train.txt and valid.txt, a file, or a glob;"
              + " for series, a CSV file")
  private @Nullable String data;

  @Option(
      names = "--from",
      paramLabel = "DIR",
      description = "start with the weights and the tokenizer of this model folder")
  private @Nullable String from;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description = "folder of the run; default runs/ and the corpus's name")
  private @Nullable Path out;

  @Option(names = "--steps", paramLabel = "N", description = "optimizer steps")
  private @Nullable Integer steps;

  @Option(names = "--device", paramLabel = "NAME", description = "cpu, cuda or cuda:N")
  private @Nullable String device;

  @Option(names = "--resume", description = "go on with the run in --out")
  private boolean resume;

  @Option(
      names = "--from-step",
      paramLabel = "N",
      description = "with --resume: go back to the state of this step, which must have been kept")
  private @Nullable Integer fromStep;

  @Option(names = "--print-config", description = "print the configuration and do nothing")
  private boolean printConfig;

  @Option(
      names = "--dry-run",
      description = "say what would be trained: model, parameters, memory, steps; leave nothing")
  private boolean dryRun;

  @Option(
      names = "--profile",
      description = "write profile.jfr to the run's folder and say where the time of a step went")
  private boolean profile;

  @ArgGroup(exclusive = false, heading = "%nSeveral processes:%n")
  private RanksOptions ranks = new RanksOptions();

  @Parameters(paramLabel = "key=value", arity = "0..*", description = "configuration keys")
  private List<String> overrides = List.of();

  @Override
  public Integer call() {
    if (ranks.startsProcesses()) {
      return ranks.run(spec);
    }
    PrintWriter console = spec.commandLine().getOut();
    ObjectNode said = config == null ? RunConfigFile.parse("", "") : RunConfigFile.read(config);
    RunConfigFile.override(said, overrides);
    if (data != null) {
      if (isOfSeries(said)) {
        section(said, "series").put("file", data);
      } else {
        section(said, "data").put("corpus", data);
      }
    }
    if (from != null) {
      said.put(StartingModel.KEY, Path.of(from).normalize().toString());
    }
    if (steps != null) {
      section(said, "training").put("steps", steps);
    }
    if (device != null) {
      said.put("device", device);
    }
    String source = config == null ? "configuration" : config.toString();
    if (!resume) {
      StartingModel.complete(said, source);
    }
    if (printConfig) {
      console.print(RunConfigFile.toYaml(RunConfig.DEFAULT.with(said, source)));
      console.flush();
      return ExitCode.OK;
    }
    if (resume && out == null) {
      throw new ParameterException(
          spec.commandLine(), "--resume needs --out: the folder of the run to go on with");
    }
    if (fromStep != null && !resume) {
      throw new ParameterException(spec.commandLine(), "--from-step needs --resume");
    }
    if (dryRun) {
      DryRun.print(RunConfig.DEFAULT.with(said, source), console);
      return ExitCode.OK;
    }
    LocalRanks.whenLauncherIsGone(() -> Runtime.getRuntime().halt(ExitCode.SOFTWARE));
    try (World world = World.of(System.getenv())) {
      var report = new TrainingReport(console, Terminal.isInteractive());
      try (Trainer trainer = trainer(said, source, world, report)) {
        return run(trainer, world, console);
      }
    }
  }

  private Trainer trainer(ObjectNode said, String source, World world, TrainingReport report) {
    if (resume && out != null) {
      if (fromStep != null && world.isFirst()) {
        RunFolder.reopen(out).goBackTo(fromStep);
      }
      return Trainer.resume(out, said, world, report);
    }
    RunConfig run = RunConfig.DEFAULT.with(said, source);
    byte[] folder =
        world.broadcast( // the first process chooses
            (out == null ? freshFolder(learnt(run)) : out).toString().getBytes(UTF_8));
    return Trainer.start(run, Path.of(new String(folder, UTF_8)), world, report);
  }

  private static String learnt(RunConfig run) {
    return run.series() == null ? run.data().corpus() : run.series().file();
  }

  private int run(Trainer trainer, World world, PrintWriter console) {
    Profile recording = profile && world.isFirst() ? Profile.begin() : null;
    try (var interrupt = new Interrupt()) {
      trainer.run(interrupt::requested);
    }
    if (recording != null) {
      recording.end(trainer.view().folder().path(), trainer.times().summary(), console);
    }
    return ExitCode.OK;
  }

  /// Whether the run is one on series, by what was said or by the run that goes on.
  private boolean isOfSeries(ObjectNode said) {
    JsonNode type = said.path("model").path("model_type");
    if (type.isMissingNode() && said.has("series")) {
      return true;
    }
    if (!type.isMissingNode() || !resume || out == null) {
      return type.asText().equals(SequenceModelConfig.MODEL_TYPE);
    }
    try {
      return RunFolder.of(out).readRunConfig().series() != null;
    } catch (InvalidInputException e) {
      return false; // resuming says what is wrong
    }
  }

  private static ObjectNode section(ObjectNode tree, String name) {
    return tree.get(name) instanceof ObjectNode section ? section : tree.putObject(name);
  }

  /// `runs/wordnet`, or `runs/wordnet-2` and so on if that is taken.
  private static Path freshFolder(String corpus) {
    String name = corpus.replaceAll(".*[/\\\\]", "").toLowerCase(Locale.ROOT);
    name = name.replaceAll("[^a-z0-9._-]+", "-").replaceAll("^[-.]+|[-.]+$", "");
    Path runs = Path.of("runs");
    Path folder = runs.resolve(name.isEmpty() ? "run" : name);
    for (int number = 2; Files.exists(folder); number++) {
      folder = runs.resolve((name.isEmpty() ? "run" : name) + "-" + number);
    }
    return folder;
  }
}
