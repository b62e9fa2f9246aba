package io.xlstm4j.train.task;

import io.xlstm4j.core.Generator;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.text.Batch;
import io.xlstm4j.text.Batches;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.torch.BlockStack;
import io.xlstm4j.torch.Checkpoint;
import io.xlstm4j.torch.Parameters;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.XlstmLanguageModel;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.SamplesConfig;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// A language model that learns to predict the next token of a corpus.
public final class LanguageTask implements Task {
  private final RunConfig config;
  private final LanguageData data;
  private final XlstmLanguageModel model;
  private final Batches batches;

  private LanguageTask(RunConfig config, LanguageData data, XlstmLanguageModel model) {
    this.config = config;
    this.data = data;
    this.model = model;
    model.backend(config.backend());
    batches =
        new Batches(
            data.train(), config.training().batchSize(), length(), config.training().seed());
  }

  /// A task with a fresh model, or one that goes on with a stored one.
  ///
  /// @param folder of the run; tokens and tokenizer are made there where they are missing
  /// @param stored checkpoint folder to read the weights from; null for fresh ones
  /// @param preparing hears of what takes long
  public static LanguageTask open(
      RunConfig config, Path folder, @Nullable Path stored, Consumer<String> preparing) {
    var device = Torch.device(config.device());
    LanguageData data = LanguageData.open(config.data(), folder, preparing);
    try {
      XlstmLanguageModel model;
      if (stored == null) {
        Torch.seed(config.training().seed());
        model =
            new XlstmLanguageModel(
                sized(config.model(), data.tokenizer()), device, ScalarType.Float);
      } else {
        model = Checkpoint.open(stored, device);
      }
      return new LanguageTask(config, data, model);
    } catch (RuntimeException e) {
      data.close();
      throw e;
    }
  }

  private static ModelConfig sized(ModelConfig model, Tokenizer tokenizer) {
    return switch (model) {
      case PaperModelConfig paper -> paper.withVocabSize(tokenizer.vocabSize());
      case LargeModelConfig large ->
          large.withVocabulary(tokenizer.vocabSize(), tokenizer.endOfText());
    };
  }

  private int length() {
    return config.model().contextLength();
  }

  @Override
  public String name() {
    return data.corpus().name();
  }

  @Override
  public String describe() {
    return "%d blocks (%s), width %d, context %d"
        .formatted(
            model.config().numBlocks(),
            switch (model.config()) {
              case PaperModelConfig paper -> "sLSTM at " + paper.blockStack().slstmAt();
              case LargeModelConfig _ -> "xLSTM Large";
            },
            model.config().embeddingDim(),
            length());
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
    return (long) config.training().batchSize() * length();
  }

  @Override
  public double stepsPerEpoch() {
    return (double) batches.order().windows() / config.training().batchSize();
  }

  @Override
  public long trainTokens() {
    return data.train().size() - 1;
  }

  @Override
  public long validationTokens() {
    return data.validation().size() - 1;
  }

  @Override
  public Part part(long number, int from, int to) {
    Batch batch = batches.batch(number).slice(from, to);
    return new Part() {
      @Override
      public long targets() {
        return batch.predictions();
      }

      @Override
      public String origin() {
        return "batch %d, rows %d to %d: windows %s of %d tokens of %s"
            .formatted(number, from, to - 1, windows(number, from, to), length(), name());
      }

      @Override
      public Tensor lossSum() {
        var tensors = BatchTensors.of(batch, config.data().resetAtDocuments());
        BlockStack.State fresh = model.initialState(batch.rows());
        return model.lossSum(tensors.inputs(), tensors.targets(), fresh, tensors.layout()).value();
      }
    };
  }

  private List<Long> windows(long number, int from, int to) {
    var windows = new ArrayList<Long>();
    for (int row = from; row < to; row++) {
      windows.add(batches.order().window(number, row));
    }
    return windows;
  }

  @Override
  public Tally validate(long maxTokens, Share share) {
    return validate(model, maxTokens, share);
  }

  @Override
  public Tally validateStored(Path folder, long maxTokens, Share share) {
    try (var stored = Checkpoint.open(folder, model.parameters().device())) {
      stored.backend(config.backend());
      return validate(stored, maxTokens, share);
    }
  }

  private Tally validate(XlstmLanguageModel of, long maxTokens, Share share) {
    return Evaluation.tally(
        of,
        data.validation(),
        config.training().batchSize(),
        length(),
        maxTokens,
        config.data().resetAtDocuments(),
        share);
  }

  @Override
  public Validation measure(Tally tally) {
    var result = Evaluation.Result.of(data.validation(), tally.sums()[0], tally.sums()[1]);
    var measures = new LinkedHashMap<String, Double>();
    measures.put("bits_per_byte", result.bitsPerByte());
    measures.put("perplexity", result.perplexity());
    return new Validation(result.loss(), measures);
  }

  @Override
  public List<Sample> samples() {
    Tokenizer tokenizer = data.tokenizer();
    SamplesConfig samples = config.samples();
    var prompts = new ArrayList<int[]>();
    var ids = new ArrayList<List<Integer>>();
    for (String prompt : samples.prompts()) {
      prompts.add(Prompt.ids(tokenizer, prompt));
      ids.add(new ArrayList<>());
    }
    var options =
        new Generator.Options(
            samples.maxTokens(),
            tokenizer.vocabSize(),
            tokenizer.endOfText(),
            samples.sampler(config.training().seed()));
    new Generator(model, options).generate(prompts, (row, id) -> ids.get(row).add(id));
    var texts = new ArrayList<Sample>();
    for (int row = 0; row < prompts.size(); row++) {
      int[] written = ids.get(row).stream().mapToInt(Integer::intValue).toArray();
      texts.add(new Sample(samples.prompts().get(row), tokenizer.decode(written)));
    }
    return texts;
  }

  @Override
  public List<TensorData> weights() {
    return Checkpoint.tensors(model);
  }

  @Override
  public SequencedMap<String, byte[]> modelFiles() {
    var files = new LinkedHashMap<String, byte[]>();
    var stored = new CheckpointConfig(model.config(), config.data().builtInTokenizer());
    files.put(CheckpointConfig.FILE_NAME, stored.toJson().getBytes(StandardCharsets.UTF_8));
    files.putAll(data.tokenizerFile());
    return files;
  }

  @Override
  public List<TensorData> carried() {
    return List.of();
  }

  @Override
  public void restoreCarried(TensorSource source) {
    if (!source.tensors().isEmpty()) {
      throw new InvalidInputException(
          "the saved state carries rows on, but training.carry_state is false");
    }
  }

  @Override
  public SequencedMap<String, String> fingerprints() {
    var fingerprints = new LinkedHashMap<String, String>();
    fingerprints.put("training data and tokenizer", data.train().fingerprint());
    fingerprints.put("validation data", data.validation().fingerprint());
    return fingerprints;
  }

  @Override
  public void close() {
    model.close();
    data.close();
  }
}
