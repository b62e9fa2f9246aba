package io.xlstm4j.train.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.RecordComponents;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeConfigKeys;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperConfigKeys;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.core.config.UnknownKeyException;
import io.xlstm4j.torch.Backend;
import io.xlstm4j.torch.Precision;
import io.xlstm4j.torch.Torch;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Everything that decides a run. In YAML a section for each record, and `device` and `backend`.
///
/// ```java
/// var run = RunConfig.DEFAULT;
/// run = run.withData(run.data().withCorpus("novel.txt"))
///     .withTraining(run.training().withSteps(300).withBatchSize(8));
/// ```
///
/// Each copy is checked, here and in the records of the sections: of values that depend on each
/// other, change first the one that may stand beside the others.
///
/// @param model of either family, as `model_type` says; its `vocab_size` follows from the tokenizer
///   and is not a key of a run
/// @param series what a model of series reads and predicts, of the type `xlstm_sequence`; its
///   blocks are those of `model`, `data` and `samples` mean nothing then. Null for a language model
/// @param from a model folder to start with: its weights, its tokenizer, its architecture; see
///   [StartingModel]. Null for fresh weights
/// @param device `cpu`, `cuda` or `cuda:N`
/// @param backend what computes the cells: `fused`, our kernels where they can, or `libtorch`
public record RunConfig(
    ModelConfig model,
    DataConfig data,
    TrainingConfig training,
    OptimizerConfig optimizer,
    ScheduleConfig schedule,
    ValidationConfig validation,
    CheckpointsConfig checkpoints,
    LoggingConfig logging,
    SamplesConfig samples,
    @Nullable SeriesConfig series,
    @Nullable String from,
    String device,
    Backend backend) {
  /// The default model of the paper family.
  private static final PaperModelConfig PAPER =
      PaperModelConfig.of(1, BlockStackConfig.of(4, 192, List.of(1)));

  /// The run of `./xlstm train` without arguments: a small `[3:1]` model on WordNet.
  public static final RunConfig DEFAULT =
      new RunConfig(
          PAPER,
          DataConfig.DEFAULT,
          TrainingConfig.DEFAULT,
          OptimizerConfig.DEFAULT,
          ScheduleConfig.DEFAULT,
          ValidationConfig.DEFAULT,
          CheckpointsConfig.DEFAULT,
          LoggingConfig.DEFAULT,
          SamplesConfig.DEFAULT,
          null,
          null,
          "cpu",
          Backend.FUSED);

  /// The default model of the Large family.
  private static final LargeModelConfig LARGE = LargeModelConfig.of(1, 192, 4, 4);

  /// The blocks that a run on series starts from.
  private static final BlockStackConfig SERIES = BlockStackConfig.of(2, 64, List.of(1));

  /// The sections that only a run of a language model has.
  static final List<String> LANGUAGE_SECTIONS = List.of("data", "samples");

  private static final String MODEL_TYPE = "model_type";
  private static final String VOCAB_SIZE = "vocab_size";

  public RunConfig {
    String _ = device(device, "");
    if (from != null && series != null) {
      throw new InvalidInputException(
          "from (%s) is for language models; leave it out for series".formatted(from));
    }
    if (training.precision() == Precision.BFLOAT16
        && backend == Backend.FUSED
        && device.equals("cpu")) {
      throw new InvalidInputException(
          "training.precision bfloat16 needs backend libtorch or a GPU;"
              + " backend fused is float32 on device cpu");
    }
  }

  /// Returns the defaults of a run on series.
  public static RunConfig forSeries(SeriesConfig series) {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    ObjectNode own = StrictBinder.toTree(series);
    ObjectNode defaults = SeriesConfig.defaults();
    for (var key : defaults.properties()) {
      if (key.getValue().equals(own.get(key.getKey()))) {
        own.remove(key.getKey()); // else it might be refused as one that means nothing here
      }
    }
    keys.set("series", own);
    return DEFAULT.with(keys, "");
  }

  /// Returns the defaults of a run that trains a stored language model further.
  ///
  /// @throws InvalidInputException if the folder holds no language model
  public static RunConfig fineTuning(Path modelFolder) {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    keys.put(StartingModel.KEY, modelFolder.toString());
    StartingModel.complete(keys, "");
    return DEFAULT.with(keys, "");
  }

  /// Lays the keys somebody wrote over these. Over [#DEFAULT], defaults follow those keys as
  /// [FollowingDefaults] says.
  ///
  /// @param said sections and keys; not changed. An empty section says nothing
  /// @param source the name of the file, for messages; empty for none
  /// @throws InvalidInputException for an unknown key, a wrong type, a refused value, or a key that
  ///   means nothing beside the others
  public RunConfig with(ObjectNode said, String source) {
    return with(said, source, equals(DEFAULT));
  }

  /// The same for a run that goes on: nothing follows, for everything has its value.
  public RunConfig changed(ObjectNode said, String source) {
    return with(said, source, false);
  }

  private RunConfig with(ObjectNode said, String source, boolean follow) {
    ObjectNode keys = RunKeys.withoutEmptySections(said);
    ObjectNode before = treeFor(keys);
    RunKeys.wholeNumbers(keys, before);
    ObjectNode all = keys.deepCopy();
    if (follow) {
      FollowingDefaults.of(keys, before)
          .forEach(follower -> RunKeys.put(all, follower.key(), follower.value()));
    }
    RunConfig run = bind(all, source);
    IgnoredKeys.refuse(run, keys, before, prefix(source));
    return run;
  }

  /// The configuration that [RunConfigFile#toYaml] wrote, whole; it is not questioned again.
  ///
  /// @throws InvalidInputException as [#with]
  public static RunConfig reread(ObjectNode whole, String source) {
    return DEFAULT.bind(whole, source);
  }

  /// Every key that a run with these has, with its value before them: those of the default of its
  /// family, where that changes.
  ObjectNode treeFor(ObjectNode said) {
    JsonNode type = RunKeys.at(said, "model.model_type");
    String wanted =
        type.isTextual() ? type.asText() : said.has("series") ? SequenceModelConfig.MODEL_TYPE : "";
    return switch (wanted) {
      case SequenceModelConfig.MODEL_TYPE ->
          series != null ? toTree() : ofFamily(PaperModelConfig.of(1, SERIES), true);
      case LargeModelConfig.MODEL_TYPE ->
          model instanceof LargeModelConfig ? toTree() : ofFamily(LARGE, false);
      case PaperModelConfig.MODEL_TYPE ->
          model instanceof PaperModelConfig && series == null ? toTree() : ofFamily(PAPER, false);
      default -> toTree();
    };
  }

  private ObjectNode ofFamily(ModelConfig family, boolean ofSeries) {
    ObjectNode tree = DEFAULT.toTree();
    ObjectNode own = modelTree(family, ofSeries);
    tree.set("model", own);
    if (ofSeries) {
      tree.remove(LANGUAGE_SECTIONS);
      tree.set("series", SeriesConfig.defaults());
    }
    return tree;
  }

  private RunConfig bind(ObjectNode said, String source) {
    try {
      return bindKnown(said, source);
    } catch (UnknownKeyException e) {
      throw RunKeys.unknown(e, said, treeFor(said), source);
    }
  }

  static String prefix(String source) {
    return source.isEmpty() ? "" : source + ": ";
  }

  private RunConfig bindKnown(ObjectNode said, String source) {
    ObjectNode rest = said.deepCopy();
    ObjectNode modelKeys = said.objectNode();
    if (rest.has("model")) {
      if (!(rest.get("model") instanceof ObjectNode section)) {
        throw new InvalidInputException(prefix(source) + "model must be a section of keys");
      }
      modelKeys = section;
      rest.remove("model");
    }
    if (modelKeys.has(VOCAB_SIZE)) {
      throw new InvalidInputException(
          prefix(source)
              + "model.vocab_size follows from the tokenizer; leave it out, or set data.vocab_size");
    }
    JsonNode type = modelKeys.path(MODEL_TYPE);
    if (!type.isMissingNode() && !type.isTextual()) {
      throw wrongType(type, source);
    }
    ObjectNode defaults = toTree();
    defaults.set(
        "model", said.objectNode()); // so that the message about a wrong key names the section
    boolean ofSeries = isOfSeries(modelKeys, rest);
    if (ofSeries) {
      defaults.remove(LANGUAGE_SECTIONS);
      defaults.set(
          "series", series == null ? SeriesConfig.defaults() : StrictBinder.toTree(series));
    }
    ObjectNode merged = StrictBinder.merge(defaults, rest, source);
    SeriesConfig wanted = null;
    if (ofSeries) {
      merged.set("data", StrictBinder.toTree(data));
      merged.set("samples", StrictBinder.toTree(samples));
      wanted = section(merged, "series", SeriesConfig.class, source);
    }
    return new RunConfig(
        wanted == null ? model(modelKeys, source) : stack(modelKeys, wanted, source),
        section(merged, "data", DataConfig.class, source),
        section(merged, "training", TrainingConfig.class, source),
        section(merged, "optimizer", OptimizerConfig.class, source),
        section(merged, "schedule", ScheduleConfig.class, source),
        section(merged, "validation", ValidationConfig.class, source),
        section(merged, "checkpoints", CheckpointsConfig.class, source),
        section(merged, "logging", LoggingConfig.class, source),
        section(merged, "samples", SamplesConfig.class, source),
        wanted,
        StartingModel.value(merged.get(StartingModel.KEY), source),
        device(merged.get("device").asText(), source),
        backend(merged.get("backend").asText(), source));
  }

  private static String device(String name, String source) {
    if (!Torch.isDeviceName(name)) {
      throw new InvalidInputException(
          "%sdevice (%s) must be cpu, cuda or cuda:N".formatted(prefix(source), name));
    }
    return name;
  }

  /// Without a model type, keys of the section `series` say so.
  private boolean isOfSeries(ObjectNode modelKeys, ObjectNode rest) {
    JsonNode type = modelKeys.get(MODEL_TYPE);
    return type == null
        ? series != null || rest.has("series")
        : type.asText().equals(SequenceModelConfig.MODEL_TYPE);
  }

  /// The blocks of a model of series; the rest of it follows from the section `series`.
  private PaperModelConfig stack(ObjectNode said, SeriesConfig wanted, String source) {
    if (said.has("context_length")) {
      throw new InvalidInputException(
          prefix(source)
              + "model.context_length follows from series.context; leave it out and set that");
    }
    ObjectNode keys = said.deepCopy();
    keys.remove(MODEL_TYPE);
    keys.put("context_length", wanted.context());
    BlockStackConfig defaults =
        series != null && model instanceof PaperModelConfig paper ? paper.blockStack() : SERIES;
    return PaperModelConfig.of(1, SequenceConfigKeys.bindStack(keys, defaults, source, "model."));
  }

  /// Keys of the family at hand are laid over it; those of the other family over its defaults.
  private ModelConfig model(ObjectNode said, String source) {
    ObjectNode keys = said.deepCopy();
    JsonNode type = keys.remove(MODEL_TYPE);
    String wanted = type == null ? model.modelType() : type.asText();
    return switch (wanted) {
      case PaperModelConfig.MODEL_TYPE ->
          PaperConfigKeys.bind(
              keys, model instanceof PaperModelConfig paper ? paper : PAPER, source, "model.");
      case LargeModelConfig.MODEL_TYPE ->
          LargeConfigKeys.bind(
              keys, model instanceof LargeModelConfig large ? large : LARGE, source, "model.");
      default -> throw wrongType(type, source);
    };
  }

  private static InvalidInputException wrongType(@Nullable JsonNode type, String source) {
    return new InvalidInputException(
        "%smodel.model_type must be %s, %s or %s, but is %s"
            .formatted(
                prefix(source),
                PaperModelConfig.MODEL_TYPE,
                LargeModelConfig.MODEL_TYPE,
                SequenceModelConfig.MODEL_TYPE,
                type));
  }

  private static Backend backend(String name, String source) {
    for (Backend backend : Backend.values()) {
      if (backend.toString().equals(name)) {
        return backend;
      }
    }
    throw new InvalidInputException(
        prefix(source) + "backend must be fused or libtorch, but is \"" + name + "\"");
  }

  private static <T> T section(ObjectNode tree, String name, Class<T> type, String source) {
    return StrictBinder.toRecord((ObjectNode) tree.get(name), type, source, name + ".");
  }

  /// Every key with its value, as [#with] takes them.
  public ObjectNode toTree() {
    ObjectNode tree = JsonNodeFactory.instance.objectNode();
    tree.set("model", modelTree(model, series != null));
    tree.set("data", StrictBinder.toTree(data));
    tree.set("training", StrictBinder.toTree(training));
    tree.set("optimizer", StrictBinder.toTree(optimizer));
    tree.set("schedule", StrictBinder.toTree(schedule));
    tree.set("validation", StrictBinder.toTree(validation));
    tree.set("checkpoints", StrictBinder.toTree(checkpoints));
    tree.set("logging", StrictBinder.toTree(logging));
    tree.set("samples", StrictBinder.toTree(samples));
    if (series != null) {
      tree.remove(LANGUAGE_SECTIONS);
      tree.set("series", StrictBinder.toTree(series));
    }
    tree.put(StartingModel.KEY, from);
    tree.put("device", device);
    tree.put("backend", backend.toString());
    return tree;
  }

  private static ObjectNode modelTree(ModelConfig model, boolean ofSeries) {
    ObjectNode values =
        switch (model) {
          case PaperModelConfig paper -> PaperConfigKeys.toTree(paper);
          case LargeModelConfig large -> LargeConfigKeys.toTree(large);
        };
    values.remove(VOCAB_SIZE);
    String type = model.modelType();
    if (ofSeries && model instanceof PaperModelConfig paper) {
      values = StrictBinder.toTree(paper.blockStack());
      values.remove("context_length");
      type = SequenceModelConfig.MODEL_TYPE;
    }
    ObjectNode keys = values.objectNode().put(MODEL_TYPE, type);
    keys.setAll(values);
    return keys;
  }

  public RunConfig withModel(ModelConfig value) {
    return RecordComponents.with(this, "model", value);
  }

  public RunConfig withOptimizer(OptimizerConfig value) {
    return RecordComponents.with(this, "optimizer", value);
  }

  public RunConfig withSchedule(ScheduleConfig value) {
    return RecordComponents.with(this, "schedule", value);
  }

  public RunConfig withValidation(ValidationConfig value) {
    return RecordComponents.with(this, "validation", value);
  }

  public RunConfig withCheckpoints(CheckpointsConfig value) {
    return RecordComponents.with(this, "checkpoints", value);
  }

  public RunConfig withLogging(LoggingConfig value) {
    return RecordComponents.with(this, "logging", value);
  }

  public RunConfig withSamples(SamplesConfig value) {
    return RecordComponents.with(this, "samples", value);
  }

  public RunConfig withSeries(@Nullable SeriesConfig value) {
    return RecordComponents.with(this, "series", value);
  }

  public RunConfig withFrom(@Nullable String value) {
    return RecordComponents.with(this, "from", value);
  }

  public RunConfig withDevice(String value) {
    return RecordComponents.with(this, "device", value);
  }

  public RunConfig withBackend(Backend value) {
    return RecordComponents.with(this, "backend", value);
  }

  public RunConfig withData(DataConfig value) {
    return RecordComponents.with(this, "data", value);
  }

  public RunConfig withTraining(TrainingConfig value) {
    return RecordComponents.with(this, "training", value);
  }
}
