package io.xlstm4j.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.TorchTensorData;
import io.xlstm4j.train.config.OptimizerConfig;
import io.xlstm4j.train.config.ResumeRules;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.TrainingConfig;
import io.xlstm4j.train.optim.AdamW;
import io.xlstm4j.train.optim.AveragedWeights;
import io.xlstm4j.train.optim.LearningRate;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.run.StateWriter;
import io.xlstm4j.train.run.TrainingState;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Tasks;
import io.xlstm4j.train.task.Validation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// Trains what a task says: batches in, weights moved, callbacks told.
///
/// A step is a function of the weights, the moments, the seed and the step's number alone, so a
/// resumed run goes on as if it had never stopped.
public final class Trainer implements AutoCloseable {
  private final RunFolder folder;
  private final RunConfig config;
  private final Task task;
  private final AdamW optimizer;
  private final @Nullable AveragedWeights averages;
  private final LearningRate learningRate;
  private final int totalSteps;
  private final List<Callback> callbacks;
  private final KeepsStates states;
  private final StepTimes times = new StepTimes();
  private final Run run = new RunView();
  private TrainingState state;
  private @Nullable String ending;
  private boolean finished;
  private long stepEnded;

  private Trainer(
      RunFolder folder, RunConfig config, Task task, TrainingState state, List<Callback> given) {
    this.folder = folder;
    this.config = config;
    this.task = task;
    this.state = state;
    OptimizerConfig how = config.optimizer();
    Map<String, Tensor> parameters = task.parameters().byName();
    totalSteps = config.training().totalSteps(task.tokensPerStep(), task.stepsPerEpoch());
    learningRate = new LearningRate(how.learningRate(), config.schedule(), totalSteps);
    optimizer = new AdamW(parameters, task::decays, how);
    averages = how.emaDecay() > 0 ? new AveragedWeights(parameters, how.emaDecay()) : null;
    callbacks = new ArrayList<>();
    callbacks.add(new WritesSamples());
    callbacks.add(new WritesMetrics(folder, config.watch(), state.step()));
    callbacks.addAll(given);
    states = new KeepsStates(new StateWriter(folder, config.checkpoints()));
    callbacks.add(states); // last: when it writes, everything else about the step is on the disk
  }

  /// How a part of a run ended.
  ///
  /// @param folder where everything is
  /// @param steps done in all
  public record Result(Path folder, int steps, Callback.End end) {}

  /// Begins a run.
  ///
  /// @param out a folder that is missing or empty
  /// @throws InvalidInputException if anything about the input is wrong; then nothing is left in
  ///   `out`
  public static Trainer start(RunConfig config, Path out, Callback... callbacks) {
    Torch.device(config.device());
    RunFolder folder = RunFolder.create(out);
    try {
      Task task = Tasks.open(config, out, null, preparing(callbacks));
      try {
        folder.saveRunConfig(config);
        var state = TrainingState.initial(1, task.fingerprints());
        return new Trainer(folder, config, task, state, List.of(callbacks));
      } catch (RuntimeException e) {
        task.close();
        throw e;
      }
    } catch (RuntimeException e) {
      folder.discard();
      throw e;
    }
  }

  /// Goes on with a run from its last saved state.
  ///
  /// @param changes keys to change; only those that leave the model and its data alone
  /// @throws InvalidInputException if there is nothing to resume, or the data or a key differs
  public static Trainer resume(Path out, ObjectNode changes, Callback... callbacks) {
    RunFolder folder = RunFolder.reopen(out);
    TrainingState state = folder.readState();
    RunConfig config = ResumeRules.apply(folder.readRunConfig(), changes);
    Task task = Tasks.open(config, out, folder.training(), preparing(callbacks));
    Trainer trainer = null;
    try {
      ResumeRules.sameFingerprints(state.fingerprints(), task.fingerprints());
      trainer = new Trainer(folder, config, task, state, List.of(callbacks));
      trainer.restore();
      folder.saveRunConfig(config);
      return trainer;
    } catch (RuntimeException e) {
      if (trainer == null) {
        task.close();
      } else {
        trainer.close();
      }
      throw e;
    }
  }

  private static Consumer<String> preparing(Callback... callbacks) {
    return what -> {
      for (Callback callback : callbacks) {
        callback.onPreparing(what);
      }
    };
  }

  private void restore() {
    try (var moments = folder.openOptimizer()) {
      optimizer.restore(moments, state.updates());
    }
    if (averages != null) {
      try (var stored = folder.openAverage()) {
        averages.restore(stored);
      }
    }
    @Nullable TensorSource carried = folder.openCarried();
    if (carried != null) {
      try (carried) {
        task.restoreCarried(carried);
      }
    }
  }

  /// What this run is, before and between its parts.
  public Run view() {
    return run;
  }

  /// Where the time of the steps went so far.
  public StepTimes times() {
    return times;
  }

  /// Trains until a limit is reached, or until asked to stop; either way the state is saved.
  ///
  /// @param stopRequested asked after every step
  /// @throws InvalidInputException if too many steps in a row were not finite, or the disk refuses;
  ///   the last saved state stays
  public Result run(BooleanSupplier stopRequested) {
    stepEnded = System.nanoTime();
    tell(callback -> callback.onStart(run));
    if (state.step() == 0) {
      validate();
      tell(callback -> callback.onBoundary(run));
    } else {
      lookForTheEnd();
    }
    while (ending == null) {
      step();
      lookForTheEnd();
      if (finished || state.step() % config.validation().every() == 0) {
        validate();
        lookForTheEnd(); // patience
      }
      if (ending == null && stopRequested.getAsBoolean()) {
        ending = "asked to stop";
      }
      long began = System.nanoTime();
      tell(callback -> callback.onBoundary(run));
      times.around(System.nanoTime() - began);
    }
    return end(ending);
  }

  private void lookForTheEnd() {
    if (ending != null) {
      return;
    }
    TrainingConfig limits = config.training();
    int patience = config.validation().patience();
    if (state.step() >= totalSteps) {
      ending = "all steps are done";
    } else if (limits.minutes() > 0 && state.seconds() >= limits.minutes() * 60) {
      ending = "the time is over";
    } else if (patience > 0 && state.validationsWithoutGain() > patience) {
      ending = "no better validation for " + state.validationsWithoutGain() + " in a row";
    }
    finished = ending != null;
  }

  private Result end(String why) {
    states.await(); // the best model is read back from the disk
    long maxTokens = finished ? 0 : config.validation().tokens();
    Task.Tally tally =
        state.bestLoss() == null // no validation was finite, so no model was stored
            ? task.validate(maxTokens, Task.Share.ALL)
            : task.validateStored(folder.path(), maxTokens, Task.Share.ALL);
    Validation best = task.measure(tally);
    var end = new Callback.End(why, finished, best);
    tell(callback -> callback.onEnd(run, end));
    return new Result(folder.path(), state.step(), end);
  }

  // ---- a step

  private void step() {
    long began = System.nanoTime();
    int number = state.step();
    task.parameters().zeroGradients();
    List<Task.Part> parts = parts(number);
    long targets = parts.stream().mapToLong(Task.Part::targets).sum();
    times.data(System.nanoTime() - began);
    double loss = 0;
    task.training(true);
    for (int i = 0; i < parts.size(); i++) {
      Torch.seed(seed(number, i)); // dropout
      loss += backward(parts.get(i), Math.max(1, targets));
    }
    task.training(false);
    move(number, loss, parts, began);
    if (state.skippedInRow() > config.training().maxSkipped()) {
      throw new InvalidInputException(
          "%d steps in a row were not finite, the last of them step %d; the weights were not moved. Lower optimizer.learning_rate (%s) or look at the data, and go on with --resume"
              .formatted(state.skippedInRow(), state.step(), config.optimizer().learningRate()));
    }
  }

  /// The batch in the order in which its parts are computed.
  private List<Task.Part> parts(int number) {
    int count = config.training().accumulate();
    int rows = config.training().batchSize() / count;
    var parts = new ArrayList<Task.Part>();
    for (int i = 0; i < count; i++) {
      parts.add(task.part(number, i * rows, (i + 1) * rows));
    }
    return parts;
  }

  /// Adds a part's share of the gradients.
  ///
  /// @return its share of the mean loss
  private double backward(Task.Part part, long targets) {
    long began = System.nanoTime();
    try (var _ = new PointerScope()) {
      Tensor share = part.lossSum().mul(new Scalar(1.0 / targets));
      long forward = System.nanoTime();
      share.backward();
      double loss = share.item_double();
      times.forward(forward - began);
      times.backward(System.nanoTime() - forward);
      return loss;
    }
  }

  /// Moves the weights, unless a number is not finite.
  private void move(int number, double loss, List<Task.Part> parts, long began) {
    long computed = System.nanoTime();
    OptimizerConfig how = config.optimizer();
    if (how.clipValue() > 0) {
      optimizer.clipValue(how.clipValue());
    }
    double norm = optimizer.gradientNorm();
    boolean finite = Double.isFinite(loss) && Double.isFinite(norm);
    double rate = learningRate.at(number);
    if (finite) {
      boolean clips = how.clipNorm() > 0 && norm > how.clipNorm();
      optimizer.step(rate, clips ? how.clipNorm() / norm : 1);
      if (averages != null) {
        averages.update();
      }
    }
    long now = System.nanoTime();
    double whole = (now - stepEnded) / 1e9;
    stepEnded = now;
    times.optimizer(now - computed);
    state = state.afterStep(finite, task.tokensPerStep(), whole);
    if (finite) {
      double seconds = (now - began) / 1e9;
      var step =
          new Callback.Step(
              state.step(),
              loss,
              rate,
              norm,
              state.tokens(),
              seconds,
              task.tokensPerStep() / seconds);
      tell(callback -> callback.onStep(run, step));
    } else {
      var skipped =
          new Callback.Skipped(
              state.step(),
              Double.isFinite(loss) ? "gradient norm " + norm : "loss " + loss,
              parts.getFirst().origin(),
              state.skippedInRow());
      tell(callback -> callback.onSkipped(run, skipped));
    }
    times.around(System.nanoTime() - now);
  }

  private long seed(int step, int part) {
    long mixed = config.training().seed() * 0x9E3779B97F4A7C15L + step;
    return new SplittableRandom(mixed + 0x632BE59BD9B4E019L * part).nextLong();
  }

  // ---- validation

  private void validate() {
    long began = System.nanoTime();
    try (var _ = averages == null ? null : averages.swap()) {
      Validation validation =
          task.measure(task.validate(config.validation().tokens(), Task.Share.ALL));
      boolean best = state.isBest(validation.loss());
      state = state.afterValidation(validation.loss(), 0);
      tell(callback -> callback.onValidation(run, validation, best));
    }
    times.validation(System.nanoTime() - began);
  }

  private void tell(Consumer<Callback> event) {
    callbacks.forEach(event);
  }

  private final class RunView implements Run {
    @Override
    public RunConfig config() {
      return config;
    }

    @Override
    public RunFolder folder() {
      return folder;
    }

    @Override
    public Task task() {
      return task;
    }

    @Override
    public TrainingState state() {
      return state;
    }

    @Override
    public int totalSteps() {
      return totalSteps;
    }

    @Override
    public boolean ending() {
      return ending != null;
    }

    @Override
    public void stop(String why) {
      if (ending == null) {
        ending = why;
      }
    }

    @Override
    public void samples(List<Task.Sample> samples) {
      tell(callback -> callback.onSamples(this, samples));
    }

    @Override
    public StateWriter.Model model() {
      return new StateWriter.Model(task.weights(), task.modelFiles());
    }

    @Override
    public StateWriter.Full full() {
      return new StateWriter.Full(
          model(),
          optimizer.state(),
          averages == null ? List.of() : averages.state(),
          task.carried(),
          state,
          config);
    }

    @Override
    public List<TensorData> gradients() {
      var gradients = new ArrayList<TensorData>();
      task.parameters()
          .byName()
          .forEach((name, parameter) -> {
            Tensor gradient = parameter.grad();
            if (gradient.defined()) {
              gradients.add(TorchTensorData.of(name, gradient));
            }
          });
      return gradients;
    }
  }

  /// Frees model, moments and files. To be called once.
  @Override
  public void close() {
    RuntimeException failure = null;
    for (Callback callback : callbacks) {
      try {
        callback.close();
      } catch (RuntimeException e) {
        failure = failure == null ? e : failure;
      }
    }
    optimizer.close();
    if (averages != null) {
      averages.close();
    }
    task.close();
    if (failure != null) {
      throw failure;
    }
  }
}
