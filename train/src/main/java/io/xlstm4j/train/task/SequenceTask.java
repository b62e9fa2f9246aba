package io.xlstm4j.train.task;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.text.BatchOrder;
import io.xlstm4j.torch.Parameters;
import io.xlstm4j.torch.Precision;
import io.xlstm4j.torch.SequenceCheckpoint;
import io.xlstm4j.torch.SequenceModel;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.config.TrainingConfig;
import io.xlstm4j.train.series.Scales;
import io.xlstm4j.train.series.SequenceDataset;
import io.xlstm4j.train.series.SeriesData;
import io.xlstm4j.train.series.SeriesWindows;
import io.xlstm4j.train.series.WindowErrors;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.BooleanSupplier;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// A sequence model that learns to predict columns of a table.
public final class SequenceTask implements Task {
  private final RunConfig config;
  private final SeriesConfig series;
  private final SeriesData data;
  private final SequenceModel model;
  private final BatchOrder order;

  private SequenceTask(
      RunConfig config, SeriesConfig series, SeriesData data, SequenceModel model) {
    this.config = config;
    this.series = series;
    this.data = data;
    this.model = model;
    model.backend(config.backend());
    TrainingConfig training = config.training();
    order = new BatchOrder(training.seed(), data.training().size(), training.batchSize());
  }

  /// A task with a fresh model, or one that goes on with a stored one.
  ///
  /// @param stored checkpoint folder to read the weights from; null for fresh ones
  static SequenceTask open(RunConfig config, SeriesConfig series, @Nullable Path stored) {
    TrainingConfig training = config.training();
    if (training.truncatedBptt()
        || training.activationCheckpointing()
        || training.precision() != Precision.FLOAT32) {
      throw new InvalidInputException(
          "training.truncated_bptt, activation_checkpointing and precision: bfloat16 are for language models; leave them out for series");
    }
    var device = Torch.device(config.device());
    SeriesData data = SeriesData.open(series);
    SequenceModel model;
    if (stored == null) {
      Torch.seed(training.seed());
      PaperModelConfig paper = (PaperModelConfig) config.model();
      model = new SequenceModel(series.model(paper.blockStack()), device);
    } else {
      model = SequenceCheckpoint.open(stored, device);
    }
    return new SequenceTask(config, series, data, model);
  }

  @Override
  public String name() {
    return Path.of(series.file()).getFileName().toString();
  }

  @Override
  public String describe() {
    return "%d blocks (sLSTM at %s), width %d, context %d, horizon %d, %s"
        .formatted(
            model.config().blockStack().numBlocks(),
            model.config().blockStack().slstmAt(),
            model.config().blockStack().embeddingDim(),
            series.context(),
            series.horizon(),
            series.loss());
  }

  @Override
  public Parameters parameters() {
    return model.parameters();
  }

  @Override
  public boolean decays(String parameter) {
    return model.decays(parameter);
  }

  @Override
  public void training(boolean on) {
    model.training(on);
  }

  @Override
  public Unit unit() {
    return new Unit("windows", series.context());
  }

  @Override
  public long tokensPerStep() {
    return (long) config.training().batchSize() * series.context();
  }

  @Override
  public double stepsPerEpoch() {
    return (double) order.windows() / config.training().batchSize();
  }

  @Override
  public long trainTokens() {
    return data.training().size() * series.context();
  }

  @Override
  public long validationTokens() {
    return data.validation().size() * series.context();
  }

  @Override
  public Part part(long number, int from, int to) {
    long[] windows = new long[to - from];
    for (int row = from; row < to; row++) {
      windows[row - from] = order.window(number, row);
    }
    List<SequenceDataset.Item> items =
        Arrays.stream(windows).mapToObj(data.training()::item).toList();
    long targets = items.stream().mapToLong(SequenceTask::known).sum();
    return new Part() {
      @Override
      public long targets() {
        return targets;
      }

      @Override
      public String origin() {
        return "batch %d, rows %d to %d: windows %s of %s"
            .formatted(number, from, to - 1, Arrays.toString(windows), series.file());
      }

      @Override
      public Tensor lossSum() {
        return WindowErrors.lossOf(model, series, items).sum();
      }
    };
  }

  private static long known(SequenceDataset.Item item) {
    long count = 0;
    for (float target : item.targets()) {
      count += Float.isNaN(target) ? 0 : 1;
    }
    return count;
  }

  // ---- validation

  @Override
  public Tally validate(long maxTokens, Shard share, BooleanSupplier stop) {
    return validate(model, maxTokens, share, stop);
  }

  @Override
  public Tally validateStored(Path folder, long maxTokens, Shard share) {
    try (var stored = SequenceCheckpoint.open(folder, model.parameters().device())) {
      stored.backend(config.backend());
      return validate(stored, maxTokens, share, () -> false);
    }
  }

  /// Windows evenly spread over the validation part.
  private Tally validate(SequenceModel of, long maxTokens, Shard share, BooleanSupplier stop) {
    SeriesWindows windows = data.validation();
    long wanted = maxTokens == 0 ? windows.size() : Math.ceilDiv(maxTokens, series.context());
    int count = (int) Math.min(Math.min(wanted, windows.size()), Integer.MAX_VALUE);
    int batch = config.training().batchSize();
    return new Tally(
        WindowErrors.sums(of, windows, count, share.from(count), share.to(count), batch, stop));
  }

  @Override
  public Validation measure(Tally tally) {
    WindowErrors errors = WindowErrors.of(model.config().loss(), data.validation(), tally.sums());
    return new Validation(errors.loss(), errors.measures());
  }

  @Override
  public List<String> notes() {
    return data.notes();
  }

  // ---- what is stored

  @Override
  public List<Sample> samples(BooleanSupplier over) {
    return List.of();
  }

  @Override
  public List<TensorData> weights() {
    return SequenceCheckpoint.tensors(model);
  }

  @Override
  public SequencedMap<String, byte[]> modelFiles() {
    var files = new LinkedHashMap<String, byte[]>();
    files.put(
        CheckpointConfig.FILE_NAME,
        SequenceConfigKeys.toJson(model.config()).getBytes(StandardCharsets.UTF_8));
    files.put(Scales.FILE_NAME, data.scales().toJson().getBytes(StandardCharsets.UTF_8));
    return files;
  }

  @Override
  public List<TensorData> carried() {
    return List.of();
  }

  @Override
  public void restoreCarried(TensorSource source) {
    if (!source.tensors().isEmpty()) {
      throw new InvalidInputException("the saved state carries rows on, which series never do");
    }
  }

  @Override
  public SequencedMap<String, String> fingerprints() {
    var fingerprints = new LinkedHashMap<String, String>();
    fingerprints.put("series", data.fingerprint());
    return fingerprints;
  }

  @Override
  public void close() {
    model.close();
  }
}
