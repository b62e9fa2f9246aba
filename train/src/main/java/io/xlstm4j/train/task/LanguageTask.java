package io.xlstm4j.train.task;

import io.xlstm4j.core.Generator;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.safetensors.FiniteNumbers;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.text.Batch;
import io.xlstm4j.text.BatchSource;
import io.xlstm4j.text.ContiguousBatches;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.torch.BlockStack;
import io.xlstm4j.torch.Checkpoint;
import io.xlstm4j.torch.Parameters;
import io.xlstm4j.torch.Precision;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.TrainingPass;
import io.xlstm4j.torch.XlstmLanguageModel;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.SamplesConfig;
import io.xlstm4j.train.config.StartingModel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// A language model that learns to predict the next token of a corpus.
public final class LanguageTask implements Task {
  private final RunConfig config;
  private final LanguageData data;
  private final XlstmLanguageModel model;
  private final BatchSource batches;
  private final TrainingPass pass;
  private final @Nullable CarriedStates carried; // null if sequences do not go on

  private LanguageTask(RunConfig config, LanguageData data, XlstmLanguageModel model) {
    this.config = config;
    this.data = data;
    this.model = model;
    model.backend(config.backend());
    model.precision(config.training().precision());
    model.activationCheckpointing(config.training().activationCheckpointing());
    batches = data.train();
    pass = new TrainingPass(model);
    carried = config.training().truncatedBptt() ? new CarriedStates() : null;
  }

  /// A task with a fresh model, one that starts from `from` of the configuration, or one that goes
  /// on with a stored one.
  ///
  /// @param folder of the run; tokens and tokenizer are made there where they are missing
  /// @param stored checkpoint folder of the run to go on with; null for the first weights
  /// @param preparing is called while something takes long
  public static LanguageTask open(
      RunConfig config, Path folder, @Nullable Path stored, Consumer<String> preparing) {
    var device = Torch.device(config.device());
    if (device.is_cuda()) { // whoever rounds projections to bfloat16 need not wait for the others
      Torch.tf32(config.training().precision() == Precision.BFLOAT16);
    }
    LanguageData data = LanguageData.open(config, folder, preparing);
    try {
      XlstmLanguageModel model =
          stored == null ? first(config, data, device, preparing) : Checkpoint.open(stored, device);
      return new LanguageTask(config, data, model);
    } catch (RuntimeException e) {
      data.close();
      throw e;
    }
  }

  private static XlstmLanguageModel first(
      RunConfig config, LanguageData data, Device device, Consumer<String> preparing) {
    if (config.from() == null) {
      Torch.seed(config.training().seed());
      return new XlstmLanguageModel(
          sized(config.model(), data.tokenizer()), device, ScalarType.Float);
    }
    StartingModel start = StartingModel.open(config.from());
    try (Tokenizer own = start.tokenizer()) {
      if (!own.fingerprint().equals(data.tokenizer().fingerprint())) {
        throw new InvalidInputException(
            "%s comes with the tokenizer %s (%d ids), but the model of from (%s) has %s (%d ids), and weights of one are of no use with the other"
                .formatted(
                    data.name(),
                    data.tokenizer().name(),
                    data.tokenizer().vocabSize(),
                    start.folder(),
                    own.name(),
                    own.vocabSize()));
      }
    }
    preparing.accept("starting with the weights of " + start.folder());
    try (var folder = ModelFolder.open(start.folder())) {
      FiniteNumbers.require(folder.tensors(), start.folder().toString());
      return Checkpoint.load(
          start.model(config.model()), folder.tensors(), start.folder().toString(), device);
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
    return data.name();
  }

  @Override
  public String describe() {
    int blocks = model.config().numBlocks();
    return "%d %s (%s), width %d, context %d, vocabulary %d"
        .formatted(
            blocks,
            blocks == 1 ? "block" : "blocks",
            switch (model.config()) {
              case PaperModelConfig paper -> "sLSTM at " + paper.blockStack().slstmAt();
              case LargeModelConfig _ -> "xLSTM Large";
            },
            model.config().embeddingDim(),
            length(),
            model.config().vocabSize());
  }

  @Override
  public Parameters parameters() {
    return model.parameters();
  }

  @Override
  public int vocabulary() {
    return model.config().vocabSize();
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
    return Unit.TOKENS;
  }

  @Override
  public long tokensPerStep() {
    return (long) batches.sequences() * batches.length();
  }

  @Override
  public double stepsPerEpoch() {
    return 1 / batches.epochs(1);
  }

  @Override
  public long trainTokens() {
    return batches.targetsPerEpoch();
  }

  @Override
  public long validationTokens() {
    return data.validation().targets();
  }

  @Override
  public Part part(long number, int from, int to) {
    Batch batch = batches.sequences(number, from, to);
    return new Part() {
      @Override
      public long targets() {
        return batch.predictions();
      }

      @Override
      public String origin() {
        return "batch %d, rows %d to %d of %s".formatted(number, from, to - 1, name());
      }

      @Override
      public Tensor lossSum() {
        return LanguageTask.this.lossSum(batch, number, from);
      }

      @Override
      public Pass backward(double factor) {
        return LanguageTask.this.backward(batch, number, from, factor);
      }
    };
  }

  private Tensor lossSum(Batch batch, long number, int from) {
    var tensors = BatchTensors.of(batch, config.data().resetAtDocuments());
    BlockStack.State last = before(batch, number, from);
    var loss = model.lossSum(tensors.inputs(), tensors.targets(), last, tensors.layout());
    if (carried != null) {
      carried.after(from, loss.state());
    }
    return loss.value();
  }

  private Pass backward(Batch batch, long number, int from, double factor) {
    try (var _ = new PointerScope()) {
      var tensors = BatchTensors.of(batch, config.data().resetAtDocuments());
      BlockStack.@Nullable State last = carried == null ? null : before(batch, number, from);
      TrainingPass.Result result =
          pass.run(
              tensors.inputs(), tensors.targets(), last, tensors.layout(), factor, carried != null);
      if (carried != null && result.state() != null) {
        carried.after(from, result.state());
      }
      return new Pass(result.loss(), result.forwardNanos(), result.backwardNanos());
    }
  }

  /// The state that sequences enter with.
  private BlockStack.State before(Batch batch, long number, int from) {
    BlockStack.State fresh = model.initialState(batch.sequences());
    boolean goesOn =
        config.data().resetAtDocuments()
            || !(batches instanceof ContiguousBatches lanes && lanes.startsEpoch(number));
    return carried != null && goesOn ? carried.before(from, fresh) : fresh;
  }

  @Override
  public Tally validate(long maxTokens, Shard share, BooleanSupplier stop) {
    return validate(model, maxTokens, share, stop);
  }

  @Override
  public Tally validateStored(Path folder, long maxTokens, Shard share) {
    try (var stored = Checkpoint.open(folder, model.parameters().device())) {
      stored.backend(config.backend());
      stored.precision(config.training().precision());
      return validate(stored, maxTokens, share, () -> false);
    }
  }

  private Tally validate(XlstmLanguageModel of, long maxTokens, Shard share, BooleanSupplier stop) {
    return switch (data.validation()) {
      case LanguageData.Questions questions ->
          AnswerAccuracy.tally(of, questions.batches(), maxTokens, share, stop);
      case LanguageData.Text text ->
          Evaluation.tally(
              of,
              text.tokens(),
              config.training().batchSize(),
              length(),
              maxTokens,
              config.data().resetAtDocuments(),
              share,
              stop);
    };
  }

  @Override
  public Validation measure(Tally tally) {
    double[] sums = tally.sums();
    var measures = new LinkedHashMap<String, Double>();
    double loss = sums[0] / sums[1];
    switch (data.validation()) {
      case LanguageData.Questions _ -> measures.put("accuracy", sums[2] / sums[1]);
      case LanguageData.Text text -> {
        var result = Evaluation.Result.of(text.tokens(), sums[0], sums[1]);
        measures.put("bits_per_byte", result.bitsPerByte());
        measures.put("perplexity", result.perplexity());
      }
    }
    return new Validation(loss, measures);
  }

  @Override
  public List<Sample> samples(BooleanSupplier over) {
    if (data.validation() instanceof LanguageData.Questions) {
      return List.of(); // their answers are counted
    }
    Tokenizer tokenizer = data.tokenizer();
    SamplesConfig samples = config.samples();
    var prompts = new ArrayList<int[]>();
    var ids = new ArrayList<List<Integer>>();
    List<String> given = samples.prompts() == null ? data.prompts() : samples.prompts();
    for (String prompt : given) {
      prompts.add(Prompt.ids(tokenizer, prompt));
      ids.add(new ArrayList<>());
    }
    var options =
        new Generator.Options(
            samples.maxTokens(),
            tokenizer.vocabSize(),
            tokenizer.endOfText(),
            samples.sampler(config.training().seed()));
    new Generator(model, options)
        .generate(prompts, (row, id) -> ids.get(row).add(id) && !over.getAsBoolean());
    var texts = new ArrayList<Sample>();
    for (int row = 0; row < prompts.size(); row++) {
      int[] written = ids.get(row).stream().mapToInt(Integer::intValue).toArray();
      texts.add(new Sample(given.get(row), tokenizer.decode(written)));
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
    var stored =
        CheckpointConfig.ofDocuments(
            model.config(), data.builtInTokenizer(), data.tokenizer().endOfText());
    files.put(CheckpointConfig.FILE_NAME, stored.toJson().getBytes(StandardCharsets.UTF_8));
    files.putAll(data.tokenizerFile());
    return files;
  }

  @Override
  public List<TensorData> carried() {
    return carried == null ? List.of() : carried.tensors();
  }

  @Override
  public void restoreCarried(TensorSource source) {
    if (carried == null) {
      throw new InvalidInputException(
          "the saved state carries rows on, but training.truncated_bptt is false");
    }
    int rows = batches.sequences() / config.training().gradientAccumulationSteps();
    var froms = new ArrayList<Integer>();
    for (int from = 0; from < batches.sequences(); from += rows) {
      froms.add(from);
    }
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      carried.restore(source, froms, _ -> model.initialState(rows));
    }
  }

  @Override
  public SequencedMap<String, String> fingerprints() {
    var fingerprints = new LinkedHashMap<String, String>();
    fingerprints.put("training data and tokenizer", batches.fingerprint());
    fingerprints.put("validation data", data.validation().fingerprint());
    return fingerprints;
  }

  @Override
  public void close() {
    if (carried != null) {
      carried.close();
    }
    pass.close();
    model.close();
    data.close();
  }
}
