package io.xlstm4j.train.logging;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.TensorInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/// The contents of a run folder's files. Only `run.yaml` must be there.
///
/// @param folder of the run
/// @param config every key of `run.yaml`, dotted, in its order
/// @param curves of `metrics.csv`
/// @param samples of `samples.md`
/// @param status of `status.json`, null if there is none
/// @param parameters of the model, -1 if nothing tells
public record RunReading(
    Path folder,
    SequencedMap<String, String> config,
    Curves curves,
    List<SamplesFile.Sample> samples,
    @Nullable RunStatus status,
    long parameters) {
  private static final String CONFIG = "run.yaml";
  private static final YAMLMapper YAML = new YAMLMapper();

  /// Returns the unit of the losses: nats per token, or for time series the loss that `series.loss`
  /// names, of scaled values.
  public String lossUnit() {
    return switch (config.getOrDefault("series.loss", "")) {
      case "" -> "nats per token";
      case "cross_entropy" -> "nats per target";
      case String loss -> loss + " of scaled values";
    };
  }

  /// Returns the unit in which data is counted: tokens, or positions of time series.
  public String unit() {
    return config.containsKey("series.loss") ? "positions" : "tokens";
  }

  /// Returns whether a folder is that of a run.
  public static boolean isRun(Path folder) {
    return Files.isRegularFile(folder.resolve(CONFIG));
  }

  /// Reads a run folder, also of a run that is going on.
  ///
  /// @throws InvalidInputException if it is none, or a file in it is broken
  public static RunReading of(Path folder) {
    if (!isRun(folder)) {
      throw new InvalidInputException(
          OneLine.of(folder)
              + (Files.isDirectory(folder)
                  ? ": not a run: it has no run.yaml"
                  : ": no such folder"));
    }
    Path metrics = folder.resolve("metrics.csv");
    Path samples = folder.resolve("samples.md");
    @Nullable RunStatus status = RunStatus.read(folder);
    return new RunReading(
        folder,
        config(folder.resolve(CONFIG)),
        Files.exists(metrics) ? Curves.read(metrics) : new Curves(),
        Files.exists(samples) ? SamplesFile.read(samples) : List.of(),
        status,
        status == null ? storedParameters(folder) : status.parameters());
  }

  private static SequencedMap<String, String> config(Path file) {
    var flat = new LinkedHashMap<String, String>();
    try {
      flatten("", YAML.readTree(Files.readString(file)), flat);
    } catch (JsonProcessingException e) {
      throw new InvalidInputException(
          "%s: not YAML: %s".formatted(OneLine.of(file), OneLine.of(e.getOriginalMessage())), e);
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(file) + ": cannot be read: " + OneLine.reason(e), e);
    }
    return flat;
  }

  private static void flatten(String key, JsonNode value, SequencedMap<String, String> into) {
    if (value.isObject()) {
      value
          .properties()
          .forEach(entry ->
              flatten(
                  key.isEmpty() ? entry.getKey() : key + "." + entry.getKey(),
                  entry.getValue(),
                  into));
    } else if (!key.isEmpty()) {
      into.put(key, value.isValueNode() ? value.asText() : value.toString());
    }
  }

  private static long storedParameters(Path folder) {
    Path weights = folder.resolve("model.safetensors");
    if (!Files.exists(weights)) {
      return -1;
    }
    try (var file = SafetensorsFile.open(weights)) {
      return file.tensors().values().stream().mapToLong(TensorInfo::elementCount).sum();
    } catch (InvalidInputException e) {
      return -1; // a broken model does not hide how the run went
    }
  }

  /// The folder's own name.
  public String name() {
    Path name = folder.toAbsolutePath().normalize().getFileName();
    return name == null ? folder.toString() : name.toString();
  }

  /// Steps that were to be done, -1 if `run.yaml` does not say.
  public long plannedSteps() {
    String steps = config.getOrDefault("training.steps", "");
    return steps.matches("\\d{1,18}") ? Long.parseLong(steps) : -1;
  }

  /// Returns the state of the run: as `status.json` says, else `finished` if all steps are done,
  /// else `unfinished`.
  public String state() {
    if (status != null) {
      return status.stateNow().toString();
    }
    long planned = plannedSteps();
    return planned >= 0 && curves.lastStep() >= planned ? "finished" : "unfinished";
  }

  /// Mean over the steps; NaN if nothing tells.
  public double tokensPerSecond() {
    Curve speed = curves.get(MetricNames.TRAIN_TOKENS_PER_SECOND);
    return speed == null ? Double.NaN : speed.mean();
  }

  /// Lowest validation loss, or another number; NaN if there is none.
  public double least(String name) {
    Curve curve = curves.get(name);
    return curve == null || curve.count() == 0 ? Double.NaN : curve.least();
  }
}
