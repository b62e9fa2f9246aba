package io.xlstm4j.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.train.Trainer;
import io.xlstm4j.train.config.FollowingDefaults;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.config.StartingModel;
import io.xlstm4j.train.parallel.LocalRanks;
import io.xlstm4j.train.parallel.ProcessGroup;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.run.RunLock;
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
    abbreviateSynopsis = true,
    sortOptions = false,
    footer = {
      "",
      "Every key of the configuration can be given as key=value, for example",
      "  ${ROOT-COMMAND-NAME} train training.steps=2000 model.num_blocks=6",
      "The folder holds the best model, report.html, metrics.csv, loss.png,",
      "samples.md, and in training/ the state that --resume goes on from. Ctrl-C",
      "saves that state. All keys: docs/training.md and docs/configuration.md"
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

  @Option(
      names = "--device",
      converter = DeviceName.class,
      paramLabel = "NAME",
      description = "cpu, cuda or cuda:N")
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
  private DistributedOptions ranks = new DistributedOptions();

  @Parameters(paramLabel = "key=value", arity = "0..*", description = "configuration keys")
  private List<String> overrides = List.of();

  private List<FollowingDefaults.Follower> followers = List.of();

  @Override
  public Integer call() {
    ranks.check(spec);
    if (ranks.startsProcesses()) {
      ranks.checkGpus(deviceOf(givenKeys()), Torch::gpus);
      return ranks.run(spec);
    }
    PrintWriter console = spec.commandLine().getOut();
    if (resume && out == null) {
      throw new ParameterException(
          spec.commandLine(), "--resume needs --out: the folder of the run to go on with");
    }
    if (fromStep != null && !resume) {
      throw new ParameterException(spec.commandLine(), "--from-step needs --resume");
    }
    ObjectNode given = givenKeys();
    String source = config == null ? "" : config.toString();
    if (!resume || printConfig) {
      RunConfig run = bound(given, source);
      followers = FollowingDefaults.of(given);
      if (printConfig) {
        console.print(RunConfigFile.toYaml(run));
        followers.forEach(follower -> console.println("# " + follower));
        console.flush();
        return ExitCode.OK;
      }
      if (dryRun) {
        DryRun.print(run, followers, console);
        return ExitCode.OK;
      }
    }
    LocalRanks.whenLauncherIsGone(() -> Runtime.getRuntime().halt(ExitCode.SOFTWARE));
    boolean interactive = Terminal.isInteractive();
    try (var interrupt =
            new Interrupt(spec.commandLine().getErr(), interactive, LocalRanks.isRank());
        ProcessGroup world = ProcessGroup.of(System.getenv())) {
      if (world.isFirst()) {
        followers.forEach(console::println);
      }
      var report = new TrainingReport(console, interactive);
      try (Trainer trainer = trainer(given, source, world, report)) {
        return run(trainer, world, console, interrupt);
      } catch (RuntimeException e) {
        interrupt.awaitEnd(); // its folder was removed under it, which is no failure to speak of
        throw e;
      }
    }
  }

  /// The keys that somebody wrote, in the file and on the command line.
  private ObjectNode givenKeys() {
    ObjectNode given = config == null ? RunConfigFile.parse("", "") : RunConfigFile.read(config);
    try {
      RunConfigFile.override(given, overrides);
    } catch (InvalidInputException e) {
      throw usage(e);
    }
    if (data != null) {
      if (isOfSeries(given)) {
        put(given, "series", "file", TextNode.valueOf(data), "--data");
      } else {
        TextData.refuseTable(
            data,
            "to train on series add the columns to predict: "
                + Program.command("train --data %s 'series.target_columns=[COLUMN]'")
                + "; to train on its text give it another ending");
        put(given, "data", "corpus", TextNode.valueOf(data), "--data");
      }
    }
    if (from != null) {
      given.put(StartingModel.KEY, Path.of(from).normalize().toString());
    }
    if (steps != null) {
      put(given, "training", "steps", IntNode.valueOf(steps), "--steps");
    }
    if (device != null) {
      given.put("device", device);
    }
    return given;
  }

  /// An option that stands for a key; the key must not be given otherwise beside it.
  private void put(ObjectNode given, String section, String key, JsonNode value, String option) {
    String dotted = section + "." + key;
    JsonNode other = given.path(section).path(key);
    if (!other.equals(value)
        && overrides.stream().anyMatch(pair -> pair.startsWith(dotted + "="))) {
      throw new ParameterException(
          spec.commandLine(),
          "%s %s and %s=%s say different things; give one of them"
              .formatted(option, value.asText(), dotted, other.asText()));
    }
    section(given, section).set(key, value);
  }

  /// The configuration of the keys.
  ///
  /// @throws ParameterException if the command line is to blame
  /// @throws InvalidInputException if it is the file
  private RunConfig bound(ObjectNode given, String source) {
    if (given.path(StartingModel.KEY).isTextual()) {
      StartingModel.open(given.get(StartingModel.KEY).asText()); // a folder is input, not usage
    }
    try {
      StartingModel.complete(given, source);
      return RunConfig.DEFAULT.with(given, source);
    } catch (InvalidInputException e) {
      throw fileIsGood() ? usage(e) : e;
    }
  }

  /// Refuses keys that are wrong whatever the run is; what may not change is refused when it is
  /// opened.
  private void checkChanges(ObjectNode given, RunFolder folder) {
    if (config != null) {
      return;
    }
    RunConfig before;
    try {
      before = folder.readRunConfig();
    } catch (InvalidInputException e) {
      return; // resuming says what is wrong
    }
    try {
      before.changed(given, "");
    } catch (InvalidInputException e) {
      throw usage(e);
    }
  }

  /// Returns whether the file, if there is one, is a configuration by itself.
  private boolean fileIsGood() {
    if (config == null) {
      return true;
    }
    try {
      ObjectNode file = RunConfigFile.read(config);
      StartingModel.complete(file, "");
      RunConfig.DEFAULT.with(file, "");
      return true;
    } catch (InvalidInputException e) {
      return false;
    }
  }

  private ParameterException usage(InvalidInputException e) {
    return new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
  }

  private Trainer trainer(
      ObjectNode given, String source, ProcessGroup world, TrainingReport report) {
    if (resume && out != null) {
      checkChanges(given, RunFolder.of(out));
      if (fromStep != null && world.isFirst()) {
        try (var _ = RunLock.take(out)) {
          RunFolder.reopen(out).goBackTo(fromStep);
        }
      }
      return Trainer.resume(out, given, world, report);
    }
    RunConfig run = bound(given, source);
    byte[] folder =
        world.broadcast( // the first process chooses
            (out == null ? freshFolder(learnt(run)) : out).toString().getBytes(UTF_8));
    return Trainer.start(run, Path.of(new String(folder, UTF_8)), world, report);
  }

  private static String learnt(RunConfig run) {
    return run.series() == null ? run.data().corpus() : run.series().file();
  }

  private int run(Trainer trainer, ProcessGroup world, PrintWriter console, Interrupt interrupt) {
    Profile recording = profile && world.isFirst() ? Profile.begin() : null;
    interrupt.begin(() -> trainer.view().stop("interrupted"), () -> {});
    trainer.run(interrupt::requested);
    if (recording != null) {
      recording.end(trainer.view().folder().path(), trainer.times().summary(), console);
    }
    return ExitCode.OK;
  }

  /// Returns whether the run is one on series, by what was given or by the run that goes on.
  private boolean isOfSeries(ObjectNode given) {
    JsonNode type = given.path("model").path("model_type");
    if (type.isMissingNode() && given.path("series").isObject()) {
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

  /// Returns the device of the run: the one given, or that of the run that is resumed.
  private String deviceOf(ObjectNode given) {
    if (given.has("device") || !resume || out == null) {
      return given.path("device").asText(RunConfig.DEFAULT.device());
    }
    try {
      return RunFolder.of(out).readRunConfig().device();
    } catch (InvalidInputException e) {
      return RunConfig.DEFAULT.device(); // resuming says what is wrong
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
