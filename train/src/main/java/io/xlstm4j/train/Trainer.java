package io.xlstm4j.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.torch.AdamW;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.TorchTensorData;
import io.xlstm4j.train.config.OptimizerConfig;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.TrainingConfig;
import io.xlstm4j.train.optim.EmaWeights;
import io.xlstm4j.train.optim.LearningRate;
import io.xlstm4j.train.optim.Optimizers;
import io.xlstm4j.train.parallel.GradientReducer;
import io.xlstm4j.train.parallel.ProcessGroup;
import io.xlstm4j.train.parallel.Shard;
import io.xlstm4j.train.parallel.SingleProcess;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.run.StateWriter;
import io.xlstm4j.train.run.TrainingState;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.TaskInfo;
import io.xlstm4j.train.task.Validation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiConsumer;
import java.util.function.BooleanSupplier;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// Trains the model of a task: computes batches, updates the weights, validates, and reports events
/// to callbacks.
///
/// A step is a function of the weights, the moments, the seed and the step's number alone, so a
/// resumed run goes on as if it had never stopped. If time alone limits the run, the learning rate
/// follows the clock.
public final class Trainer implements AutoCloseable {
  private final ProcessGroup world;
  private final RunFolder folder;
  private final RunConfig config;
  private final Task task;
  private final GradientReducer reducer;
  private final AdamW optimizer;
  private final @Nullable EmaWeights averages;
  private final LearningRate learningRate;
  private final int totalSteps;
  private final TaskInfo facts;
  private final Observers observers;
  private final Runnable release;
  private final List<SynchronousCallback> hooks = new ArrayList<>();
  private final @Nullable CheckpointCallback states; // of the first process alone
  private final StepTimes times = new StepTimes();
  private final LiveRun run = new RunView();
  private final AtomicReference<@Nullable String> stopRequest = new AtomicReference<>();
  private final boolean fresh; // nothing was validated or written yet
  private TrainingState state;
  private @Nullable String ending;
  private @Nullable Validation best; // that of the stored best model, if measured in this part
  private boolean cut; // the last validation was interrupted
  private boolean finished;
  private double timeOver; // part of training.minutes that is over, alike in all processes
  private long stepEnded;

  /// @param release gives the folder back to other processes, at the very end
  Trainer(
      ProcessGroup world,
      RunFolder folder,
      RunConfig config,
      Task task,
      TrainingState state,
      boolean fresh,
      Observers observers,
      List<SynchronousCallback> given,
      Runnable release) {
    this.world = world;
    this.release = release;
    this.folder = folder;
    this.config = config;
    this.task = task;
    this.facts = TaskInfo.of(task);
    this.state = state.withProcesses(world.size());
    this.fresh = fresh;
    this.observers = observers;
    OptimizerConfig how = config.optimizer();
    Map<String, Tensor> parameters = task.parameters().byName();
    totalSteps = config.training().totalSteps(task.tokensPerStep(), task.stepsPerEpoch());
    learningRate = new LearningRate(how.learningRate(), config.schedule(), totalSteps);
    optimizer = Optimizers.adamW(parameters, task::decays, how);
    averages = how.emaDecay() > 0 ? new EmaWeights(parameters, how.emaDecay()) : null;
    reducer = world.reducer(task.parameters());
    if (world.isFirst()) {
      Observer metrics =
          observers.addMetrics(folder, config.logging(), about(), fresh ? -1 : state.step());
      states =
          new CheckpointCallback(
              new StateWriter(folder, config.checkpoints()), () -> await(metrics));
      hooks.add(
          new SampleCallback(SampleCallback.LIMIT, observers.warnings(), this::broadcastSamples));
      if (config.logging().histogramsEvery() > 0) {
        hooks.add(observers.histograms(metrics, config.logging().histogramsEvery()));
      }
      hooks.addAll(given);
      hooks.add(states); // last: a state is that after everything else of the step
    } else {
      states = null;
    }
  }

  /// Describes the model that writes the samples, and its sampling.
  private String about() {
    return "Model: %s. Corpus: %s. Temperature %s, top-p %s."
        .formatted(
            facts.describe(),
            facts.name(),
            config.samples().temperature(),
            config.samples().topP());
  }

  private static void await(Observer metrics) {
    boolean _ = metrics.await(); // a state does not wait for metrics longer than for their limit
  }

  /// The end of a part of a run.
  ///
  /// @param folder where everything is
  /// @param steps done in all
  public record Result(Path folder, int steps, Callback.End end) {}

  /// Begins a run of one process.
  ///
  /// @param out a folder that is missing or empty
  /// @throws InvalidInputException if anything about the input is wrong; then nothing is left in
  ///   `out`
  public static Trainer start(RunConfig config, Path out, Callback... callbacks) {
    return start(config, out, new SingleProcess(), callbacks);
  }

  /// Begins a run of several processes, each of which calls this.
  ///
  /// @param out a folder that all of them see; missing or empty
  /// @param world stays open as long as the trainer; the caller closes it
  /// @param callbacks called in the first process alone
  public static Trainer start(
      RunConfig config, Path out, ProcessGroup world, Callback... callbacks) {
    return start(config, out, world, List.of(), callbacks);
  }

  /// Begins a run with code that is part of its training.
  ///
  /// @param hooks called in the first process alone, in this order
  public static Trainer start(
      RunConfig config,
      Path out,
      ProcessGroup world,
      List<SynchronousCallback> hooks,
      Callback... callbacks) {
    return new TrainerFactory(world, out, hooks, List.of(callbacks)).start(config);
  }

  /// Resumes a run from its last saved state; one that died before its first begins anew.
  ///
  /// @param changes keys to change; only those that leave the model and its data alone
  /// @throws InvalidInputException if there is nothing to resume, another process trains there, or
  ///   the data or a key differs
  public static Trainer resume(Path out, ObjectNode changes, Callback... callbacks) {
    return resume(out, changes, new SingleProcess(), callbacks);
  }

  /// The same in several processes, each of which calls this; there may be more or fewer than
  /// before.
  public static Trainer resume(
      Path out, ObjectNode changes, ProcessGroup world, Callback... callbacks) {
    return resume(out, changes, world, List.of(), callbacks);
  }

  /// The same with code that is part of the training.
  ///
  /// @param hooks called in the first process alone, in this order
  public static Trainer resume(
      Path out,
      ObjectNode changes,
      ProcessGroup world,
      List<SynchronousCallback> hooks,
      Callback... callbacks) {
    return new TrainerFactory(world, out, hooks, List.of(callbacks)).resume(changes);
  }

  /// Reads moments, EMA weights and carried states of the last saved state.
  void restore() {
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

  /// Returns the run, to be looked at before and between its parts.
  public LiveRun view() {
    return run;
  }

  /// Returns the time of the steps by part so far.
  public StepTimes times() {
    return times;
  }

  /// Trains until a limit is reached, or until asked to stop; either way the state is saved.
  ///
  /// @param stopRequested asked after every step
  /// @throws InvalidInputException if too many steps in a row were not finite, or the disk refuses;
  ///   the last saved state stays
  public Result run(BooleanSupplier stopRequested) {
    try {
      return TrainerFactory.shared(world, () -> steps(stopRequested));
    } catch (RuntimeException | Error e) {
      Run now = snapshot();
      observers.await();
      observers.submit(callback -> callback.onFailure(now, e));
      observers.await();
      throw e;
    }
  }

  private Result steps(BooleanSupplier stopRequested) {
    stepEnded = System.nanoTime();
    broadcast((callback, now) -> callback.onStart(now));
    if (fresh) {
      validate();
      if (cut) {
        checkStopCriteria(false);
      }
      boundary();
    } else {
      checkStopCriteria(false);
    }
    while (ending == null) {
      step();
      checkStopCriteria(stopRequested.getAsBoolean());
      if (finished || state.step() % config.validation().every() == 0) {
        validate();
        checkStopCriteria(false); // patience
      }
      boundary();
    }
    return end(ending);
  }

  private void boundary() {
    long began = System.nanoTime();
    broadcast((callback, now) -> callback.onBoundary(now));
    hooks.forEach(hook -> hook.onBoundary(run));
    times.around(System.nanoTime() - began);
  }

  /// Decides alike in all processes: what only one of them knows is put to the vote.
  private void checkStopCriteria(boolean stopRequested) {
    TrainingConfig limits = config.training();
    @Nullable String asked = stopRequest.get();
    double over = limits.minutes() > 0 ? state.seconds() / (limits.minutes() * 60) : 0;
    double[] votes =
        world.sums(over >= 1 ? 1 : 0, stopRequested ? 1 : 0, asked == null ? 0 : 1, over);
    timeOver = votes[3] / world.size();
    if (finished) {
      return;
    }
    int patience = config.validation().patience();
    String why = null;
    if (state.step() >= totalSteps) {
      why = "all steps are done";
    } else if (votes[0] > 0) {
      why = "the time is over";
    } else if (patience > 0 && state.validationsWithoutGain() > patience) {
      why = "no better validation for " + state.validationsWithoutGain() + " in a row";
    }
    finished = why != null;
    if (why != null) {
      ending = why;
    } else if (ending == null && votes[1] + votes[2] > 0) {
      ending = asked == null ? "interrupted" : asked;
    }
  }

  private Result end(String why) {
    if (states != null) {
      states.await(); // the best model is read back from the disk
    }
    world.barrier();
    checkWorth();
    var end = new Callback.End(why, finished, last());
    observers.await(); // so that no queue is full
    broadcast((callback, now) -> callback.onEnd(now, end));
    observers.await();
    return new Result(folder.path(), state.step(), end);
  }

  /// Returns the validation of the best model, on all data if the run is over. After a validation
  /// was interrupted nothing is computed for it.
  private Validation last() {
    if (cut) {
      @Nullable Double loss = state.bestLoss();
      return best != null
          ? best
          : new Validation(loss == null ? Double.NaN : loss, new LinkedHashMap<>());
    }
    long maxTokens = finished ? 0 : config.validation().tokens();
    return measure(
        state.bestLoss() == null // no validation was finite, so no model was stored
            ? task.validate(maxTokens, share())
            : task.validateStored(folder.path(), maxTokens, share()));
  }

  /// A run that is over and has learnt nothing is a failure.
  private void checkWorth() {
    if (!finished || state.step() == 0) {
      return;
    }
    String cure =
        "lower optimizer.learning_rate (%s) or look at the data"
            .formatted(config.optimizer().learningRate());
    if (state.updates() == 0) {
      throw new InvalidInputException(
          "none of the %d steps counted: each had a loss or a gradient that is not finite; %s"
              .formatted(state.step(), cure));
    }
    if (state.bestLoss() == null) {
      throw new InvalidInputException(
          "no validation in %d steps was finite, so no model was stored; %s"
              .formatted(state.step(), cure));
    }
  }

  private Task.Shard share() {
    return new Task.Shard(world.rank(), world.size());
  }

  private Validation measure(Task.Tally own) {
    return task.measure(new Task.Tally(world.sums(own.sums())));
  }

  // ---- a step

  private void step() {
    long began = System.nanoTime();
    int number = state.step();
    task.parameters().zeroGradients();
    List<Task.Part> parts = parts(number);
    double targets = world.sum((double) parts.stream().mapToLong(Task.Part::targets).sum());
    times.data(System.nanoTime() - began);
    double loss = 0;
    task.training(true);
    for (int i = 0; i < parts.size(); i++) {
      Torch.seed(seed(number, firstRow(i))); // dropout
      if (i == parts.size() - 1) {
        reducer.begin();
      }
      Task.Pass pass = parts.get(i).backward(1 / Math.max(1, targets));
      times.forward(pass.forwardNanos());
      times.backward(pass.backwardNanos());
      loss += pass.loss();
    }
    task.training(false);
    long waiting = System.nanoTime();
    reducer.finish();
    loss = world.sum(loss);
    times.reduce(System.nanoTime() - waiting);
    update(number, loss, parts, began);
    if (state.skippedInRow() > config.training().maxNonfiniteSteps()) {
      throw new InvalidInputException(
          "%d steps in a row were not finite, the last of them step %d; the weights were not updated. Lower optimizer.learning_rate (%s) or look at the data, and go on with --resume"
              .formatted(state.skippedInRow(), state.step(), config.optimizer().learningRate()));
    }
  }

  /// Returns the micro-batches of this process, in the order in which they are computed.
  private List<Task.Part> parts(int number) {
    var parts = new ArrayList<Task.Part>();
    for (int i = 0; i < config.training().gradientAccumulationSteps(); i++) {
      int from = firstRow(i);
      int to = firstRow(i + 1);
      if (from < to) { // else there are more parts than sequences here
        parts.add(task.part(number, from, to));
      }
    }
    return parts;
  }

  private int firstRow(int part) {
    Shard own = world.share(config.training().batchSize());
    return own.from()
        + (int) ((long) own.sequences() * part / config.training().gradientAccumulationSteps());
  }

  /// Updates the weights, unless a number is not finite.
  private void update(int number, double loss, List<Task.Part> parts, long began) {
    long computed = System.nanoTime();
    OptimizerConfig how = config.optimizer();
    if (how.clipValue() > 0) {
      optimizer.clipValue(how.clipValue());
    }
    double norm = optimizer.gradientNorm();
    boolean finite = Double.isFinite(loss) && Double.isFinite(norm);
    double rate = isTimed() ? learningRate.at(number, timeOver) : learningRate.at(number);
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
      broadcast((callback, snapshot) -> callback.onStep(snapshot, step));
      hooks.forEach(hook -> hook.onStep(run, step));
    } else {
      var skipped =
          new Callback.Skipped(
              state.step(),
              Double.isFinite(loss) ? "gradient norm " + norm : "loss " + loss,
              parts.getFirst().origin(),
              state.skippedInRow());
      broadcast((callback, snapshot) -> callback.onSkipped(snapshot, skipped));
      hooks.forEach(hook -> hook.onSkipped(run, skipped));
    }
    times.around(System.nanoTime() - now);
  }

  private boolean isTimed() {
    return totalSteps == Integer.MAX_VALUE;
  }

  private long seed(int step, int firstRow) {
    long mixed = config.training().seed() * 0x9E3779B97F4A7C15L + step;
    return new SplittableRandom(mixed + 0x632BE59BD9B4E019L * firstRow).nextLong();
  }

  // ---- validation

  private void validate() {
    long began = System.nanoTime();
    try (var _ = averages == null ? null : averages.swap()) {
      BooleanSupplier stop = () -> ending == null && stopRequest.get() != null;
      double[] own = task.validate(config.validation().tokens(), share(), stop).sums();
      double[] sums = Arrays.copyOf(own, own.length + 1);
      sums[own.length] = stop.getAsBoolean() ? 1 : 0; // in one process is in all
      sums = world.sums(sums);
      cut = sums[own.length] > 0;
      if (!cut) {
        report(task.measure(new Task.Tally(Arrays.copyOf(sums, own.length))));
      }
    }
    times.validation(System.nanoTime() - began);
  }

  private void report(Validation validation) {
    boolean isBest = state.isBest(validation.loss());
    best = isBest ? validation : best;
    state = state.afterValidation(validation.loss(), 0);
    broadcast((callback, now) -> callback.onValidation(now, validation, isBest));
    hooks.forEach(hook -> hook.onValidation(run, validation, isBest));
  }

  private void broadcastSamples(List<Task.Sample> samples) {
    broadcast((callback, now) -> callback.onSamples(now, samples));
  }

  private Run snapshot() {
    return new RunSnapshot(config, folder, facts, state, totalSteps, ending != null, run::stop);
  }

  /// Gives an event, with the run as it is now, to all callbacks; does not wait.
  private void broadcast(BiConsumer<Callback, Run> event) {
    if (world.isFirst()) {
      Run now = snapshot();
      observers.submit(callback -> event.accept(callback, now));
    }
  }

  private final class RunView implements LiveRun {
    @Override
    public RunConfig config() {
      return config;
    }

    @Override
    public RunFolder folder() {
      return folder;
    }

    @Override
    public TaskInfo facts() {
      return facts;
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
      stopRequest.compareAndSet(null, why);
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
    observers.close();
    RuntimeException failure = null;
    for (SynchronousCallback hook : hooks) {
      try {
        hook.close();
      } catch (RuntimeException e) {
        failure = failure == null ? e : failure;
      }
    }
    reducer.close();
    optimizer.close();
    if (averages != null) {
      averages.close();
    }
    task.close();
    release.run();
    if (failure != null) {
      throw failure;
    }
  }
}
