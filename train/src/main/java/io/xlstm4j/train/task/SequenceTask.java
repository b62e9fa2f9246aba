package io.xlstm4j.train.task;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceModelConfig.Pooling;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.text.BatchOrder;
import io.xlstm4j.torch.Parameters;
import io.xlstm4j.torch.Precision;
import io.xlstm4j.torch.SequenceCheckpoint;
import io.xlstm4j.torch.SequenceLayout;
import io.xlstm4j.torch.SequenceModel;
import io.xlstm4j.torch.Tensors;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.config.TrainingConfig;
import io.xlstm4j.train.series.ForecastErrors;
import io.xlstm4j.train.series.Scales;
import io.xlstm4j.train.series.SequenceDataset;
import io.xlstm4j.train.series.SeriesData;
import io.xlstm4j.train.series.SeriesWindows;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
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
    if (training.carryState()
        || training.recomputeBlocks()
        || training.precision() != Precision.FLOAT32) {
      throw new InvalidInputException(
          "training.carry_state, recompute_blocks and precision: bfloat16 are for language models; leave them out for series");
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
    List<SequenceDataset.Item> items = items(data.training(), windows);
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
        return lossOf(model, items).sum();
      }
    };
  }

  private static List<SequenceDataset.Item> items(SequenceDataset of, long[] indices) {
    return Arrays.stream(indices).mapToObj(of::item).toList();
  }

  private static long known(SequenceDataset.Item item) {
    long count = 0;
    for (float target : item.targets()) {
      count += Float.isNaN(target) ? 0 : 1;
    }
    return count;
  }

  /// All windows have `context` rows.
  private SequenceModel.Loss lossOf(SequenceModel of, List<SequenceDataset.Item> items) {
    int rows = items.size();
    int outputs = series.outputs();
    Tensor targets =
        series.pooling() == Pooling.EVERY
            ? Tensors.of(joined(items, true), rows, series.context(), outputs)
            : Tensors.of(joined(items, true), rows, outputs);
    Tensor x = Tensors.of(joined(items, false), rows, series.context(), series.inputs());
    return of.lossSum(x, targets, SequenceLayout.FULL);
  }

  private static float[] joined(List<SequenceDataset.Item> items, boolean targets) {
    int each = (targets ? items.getFirst().targets() : items.getFirst().features()).length;
    float[] all = new float[items.size() * each];
    for (int i = 0; i < items.size(); i++) {
      float[] one = targets ? items.get(i).targets() : items.get(i).features();
      System.arraycopy(one, 0, all, i * each, each);
    }
    return all;
  }

  // ---- validation

  @Override
  public Tally validate(long maxTokens, Share share) {
    return validate(model, maxTokens, share);
  }

  @Override
  public Tally validateStored(Path folder, long maxTokens, Share share) {
    try (var stored = SequenceCheckpoint.open(folder, model.parameters().device())) {
      stored.backend(config.backend());
      return validate(stored, maxTokens, share);
    }
  }

  /// Windows evenly spread over the validation part.
  private Tally validate(SequenceModel of, long maxTokens, Share share) {
    SeriesWindows windows = data.validation();
    long wanted = maxTokens == 0 ? windows.size() : Math.ceilDiv(maxTokens, series.context());
    int count = (int) Math.min(Math.min(wanted, windows.size()), Integer.MAX_VALUE);
    var errors = new ForecastErrors(model.config().loss());
    double loss = 0;
    long targets = 0;
    int batch = config.training().batchSize();
    int to = share.to(count);
    for (int from = share.from(count); from < to; from += batch) {
      long[] indices = new long[Math.min(batch, to - from)];
      for (int i = 0; i < indices.length; i++) {
        indices[i] = (from + i) * windows.size() / count;
      }
      List<SequenceDataset.Item> items = items(windows, indices);
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        SequenceModel.Loss part = lossOf(of, items);
        loss += part.sum().item_double();
        targets += part.targets();
      }
      List<float[]> said = of.predict(items.stream().map(SequenceDataset.Item::features).toList());
      for (int i = 0; i < indices.length; i++) {
        errors.add(windows, windows.place(indices[i]), said.get(i));
      }
    }
    double[] sums = new double[2 + ForecastErrors.SUMS];
    sums[0] = loss;
    sums[1] = targets;
    System.arraycopy(errors.sums(), 0, sums, 2, ForecastErrors.SUMS);
    return new Tally(sums);
  }

  @Override
  public Validation measure(Tally tally) {
    double[] sums = tally.sums();
    SequenceLossConfig loss = model.config().loss();
    return new Validation(
        sums[0] / sums[1], ForecastErrors.measures(loss, Arrays.copyOfRange(sums, 2, sums.length)));
  }

  // ---- what is stored

  @Override
  public List<Sample> samples() {
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
