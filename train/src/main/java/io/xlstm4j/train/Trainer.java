package io.xlstm4j.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.Generator;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.text.Batch;
import io.xlstm4j.text.Batches;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.torch.Checkpoint;
import io.xlstm4j.torch.Losses;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.XlstmLanguageModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Trains a language model: batches in, checkpoints, metrics and samples out.
///
/// A step is a function of the weights, the moments, the seed and the step's number alone, so a
/// resumed run goes on as if it had never stopped.
public final class Trainer implements AutoCloseable {
  private final RunFolder folder;
  private final RunConfig config;
  private final TrainingListener listener;
  private final RunData data;
  private final XlstmLanguageModel model;
  private final AdamW optimizer;
  private final CheckpointConfig checkpointConfig;
  private final Batches batches;
  private final LearningRate learningRate;
  private final MetricsCsv metrics;
  private TrainingState state;

  private Trainer(
      RunFolder folder,
      RunConfig config,
      TrainingListener listener,
      RunData data,
      XlstmLanguageModel model,
      TrainingState state) {
    this.folder = folder;
    this.config = config;
    this.listener = listener;
    this.data = data;
    this.model = model;
    this.state = state;
    model.backend(config.backend());
    TrainingConfig training = config.training();
    optimizer = new AdamW(model.parameters().byName(), model::decays, training);
    checkpointConfig = new CheckpointConfig(model.config(), config.data().builtInTokenizer());
    int length = config.model().contextLength();
    batches = new Batches(data.train(), training.batchSize(), length, training.seed());
    learningRate = LearningRate.of(training);
    metrics = MetricsCsv.open(folder.metrics(), state.step());
  }

  /// How a run ended.
  ///
  /// @param folder where everything is
  /// @param steps optimizer steps done
  /// @param stopped whether it was asked to stop before the last step
  /// @param validation of the best model on all validation tokens; of a stopped run on a part
  public record Result(Path folder, int steps, boolean stopped, Evaluation.Result validation) {}

  /// Begins a run.
  ///
  /// @param out a folder that is missing or empty
  /// @throws InvalidInputException if anything about the input is wrong; then nothing is left in
  ///   `out`
  public static Trainer start(RunConfig config, Path out, TrainingListener listener) {
    var device = Torch.device(config.device());
    RunFolder folder = RunFolder.create(out);
    try {
      RunData data = RunData.open(config.data(), folder, listener);
      try {
        Torch.seed(config.training().seed());
        var model =
            new XlstmLanguageModel(
                sized(config.model(), data.tokenizer()), device, ScalarType.Float);
        var state =
            new TrainingState(
                0, 0, null, 0, data.train().fingerprint(), data.validation().fingerprint());
        folder.saveRunConfig(config);
        return new Trainer(folder, config, listener, data, model, state);
      } catch (RuntimeException e) {
        data.close();
        throw e;
      }
    } catch (RuntimeException e) {
      folder.discard();
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

  /// Goes on with a run from its last saved state.
  ///
  /// @param changes keys to change; only those that leave the model and its data alone
  /// @throws InvalidInputException if there is nothing to resume, or the data or a key differs
  public static Trainer resume(Path out, ObjectNode changes, TrainingListener listener) {
    RunFolder folder = RunFolder.reopen(out);
    RunConfig before = folder.readRunConfig();
    RunConfig config = ResumeRules.apply(before, changes);
    TrainingState state = folder.readState();
    RunData data = RunData.open(config.data(), folder, listener);
    XlstmLanguageModel model = null;
    try {
      ResumeRules.checkData(state, data);
      model = Checkpoint.open(folder.training(), Torch.device(config.device()));
      SamplesFile.dropAfter(folder.samples(), state.step());
      var trainer = new Trainer(folder, config, listener, data, model, state);
      try (var moments = folder.openOptimizer()) {
        trainer.optimizer.restore(moments, state.step());
      }
      folder.saveRunConfig(config);
      return trainer;
    } catch (RuntimeException e) {
      data.close();
      if (model != null) {
        model.close();
      }
      throw e;
    }
  }

  /// Trains to the last step, or until asked to stop; either way the state is saved.
  ///
  /// @param stopRequested asked after every step
  /// @throws InvalidInputException if the loss is no longer finite, or the disk refuses; the last
  ///   saved state stays
  public Result run(BooleanSupplier stopRequested) {
    TrainingConfig training = config.training();
    listener.onStart(
        new TrainingListener.RunSummary(
            config,
            model.parameters().count(),
            data.train().size() - 1,
            data.validation().size() - 1,
            data.corpus().name()),
        state.step());
    if (state.step() == 0) {
      validate();
      save(); // so that a run can be resumed however early it dies
    }
    boolean stopped = false;
    while (state.step() < training.steps() && !stopped) {
      step();
      boolean last = state.step() == training.steps();
      if (last || state.step() % training.validateEvery() == 0) {
        validate();
      }
      stopped = stopRequested.getAsBoolean() && !last;
      if (last || stopped || state.step() % training.saveEvery() == 0) {
        save();
      }
    }
    draw();
    return new Result(folder.path(), state.step(), stopped, finalValidation(stopped));
  }

  private void step() {
    long began = System.nanoTime();
    int number = state.step();
    Batch batch = batches.batch(number);
    double rate = learningRate.at(number);
    Torch.seed(stepSeed(number)); // dropout
    double loss;
    try (var _ = new PointerScope()) {
      var tensors = BatchTensors.of(batch, config.data().resetAtDocuments());
      model.training(true);
      Tensor logits =
          model
              .forward(tensors.inputs(), model.initialState(batch.rows()), tensors.layout())
              .logits();
      Tensor mean = Losses.crossEntropy(logits, tensors.targets());
      model.parameters().zeroGradients();
      mean.backward();
      model.training(false);
      loss = mean.item_double();
    }
    double norm =
        Double.isFinite(loss) ? optimizer.step(rate, config.training().clipNorm()) : Double.NaN;
    if (!Double.isFinite(norm)) {
      throw new InvalidInputException(
          "step %d: loss %s, gradient norm %s; the weights were not moved. Lower training.learning_rate (%s) and go on with --resume"
              .formatted(number + 1, loss, norm, config.training().learningRate()));
    }
    int tokens = batch.rows() * batch.length();
    state = state.afterStep(tokens);
    double seconds = (System.nanoTime() - began) / 1e9;
    var report =
        new TrainingListener.Step(state.step(), loss, rate, norm, state.tokens(), tokens / seconds);
    metrics.step(report);
    listener.onStep(report);
  }

  private long stepSeed(int step) {
    return new SplittableRandom(config.training().seed() * 0x9E3779B97F4A7C15L + step).nextLong();
  }

  private void validate() {
    Evaluation.Result result = evaluate(model, config.training().validationTokens());
    metrics.validation(state.step(), state.tokens(), result);
    listener.onValidation(state.step(), result);
    List<TrainingListener.Sample> samples = samples();
    SamplesFile.append(folder.samples(), state.step(), samples);
    listener.onSamples(state.step(), samples);
    if (state.isBest(result.loss())) {
      folder.saveBest(model, checkpointConfig);
      state = state.withBest(result.loss());
    }
    draw();
  }

  private Evaluation.Result evaluate(XlstmLanguageModel of, long maxTokens) {
    return Evaluation.run(
        of,
        data.validation(),
        config.training().batchSize(),
        config.model().contextLength(),
        maxTokens,
        config.data().resetAtDocuments());
  }

  /// Of the best model as it was written, which also proves that the file can be read.
  private Evaluation.Result finalValidation(boolean stopped) {
    try (var best = Checkpoint.open(folder.path(), model.parameters().device())) {
      best.backend(config.backend());
      return evaluate(best, stopped ? config.training().validationTokens() : 0);
    }
  }

  private List<TrainingListener.Sample> samples() {
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
    var texts = new ArrayList<TrainingListener.Sample>();
    for (int row = 0; row < prompts.size(); row++) {
      int[] written = ids.get(row).stream().mapToInt(Integer::intValue).toArray();
      texts.add(new TrainingListener.Sample(samples.prompts().get(row), tokenizer.decode(written)));
    }
    return texts;
  }

  private void save() {
    folder.saveTraining(model, checkpointConfig, optimizer, state, config);
    listener.onSaved(state.step());
  }

  private void draw() {
    try {
      LossPlot.draw(metrics.rows(), folder.lossPicture());
    } catch (IOException e) {
      throw new InvalidInputException(
          folder.lossPicture() + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /// Frees model, moments and files. To be called once.
  @Override
  public void close() {
    optimizer.close();
    model.close();
    data.close();
  }
}
