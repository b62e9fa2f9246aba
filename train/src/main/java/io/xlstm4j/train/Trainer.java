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
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.config.TrainingConfig;
import io.xlstm4j.train.optim.AdamW;
import io.xlstm4j.train.optim.AveragedWeights;
import io.xlstm4j.train.optim.LearningRate;
import io.xlstm4j.train.parallel.GradientReducer;
import io.xlstm4j.train.parallel.RankFailedException;
import io.xlstm4j.train.parallel.Share;
import io.xlstm4j.train.parallel.SingleWorld;
import io.xlstm4j.train.parallel.World;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.run.StateWriter;
import io.xlstm4j.train.run.TrainingState;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Tasks;
import io.xlstm4j.train.task.Validation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// Trains what a task says: batches in, weights moved, callbacks told.
///
/// A step is a function of the weights, the moments, the seed and the step's number alone, so a
/// resumed run goes on as if it had never stopped.
public final class Trainer implements AutoCloseable {
  private final World world;
  private final RunFolder folder;
  private final RunConfig config;
  private final Task task;
  private final GradientReducer reducer;
  private final AdamW optimizer;
  private final @Nullable AveragedWeights averages;
  private final LearningRate learningRate;
  private final int totalSteps;
  private final List<Callback> callbacks;
  private final @Nullable KeepsStates states; // of the first process alone
  private final StepTimes times = new StepTimes();
  private final Run run = new RunView();
  private final boolean fresh; // nothing was validated or written yet
  private TrainingState state;
  private @Nullable String ending;
  private boolean finished;
  private long stepEnded;

  private Trainer(
      World world,
      RunFolder folder,
      RunConfig config,
      Task task,
      TrainingState state,
      boolean fresh,
      List<Callback> given) {
    this.world = world;
    this.folder = folder;
    this.config = config;
    this.task = task;
    this.state = state.withProcesses(world.size());
    this.fresh = fresh;
    OptimizerConfig how = config.optimizer();
    Map<String, Tensor> parameters = task.parameters().byName();
    totalSteps = config.training().totalSteps(task.tokensPerStep(), task.stepsPerEpoch());
    learningRate = new LearningRate(how.learningRate(), config.schedule(), totalSteps);
    optimizer = new AdamW(parameters, task::decays, how);
    averages = how.emaDecay() > 0 ? new AveragedWeights(parameters, how.emaDecay()) : null;
    reducer = world.reducer(task.parameters());
    states =
        world.isFirst() ? new KeepsStates(new StateWriter(folder, config.checkpoints())) : null;
    callbacks = new ArrayList<>();
    if (states != null) {
      callbacks.add(new WritesSamples());
      callbacks.add(new WritesMetrics(folder, config.watch(), fresh ? -1 : state.step()));
      callbacks.addAll(given);
      callbacks.add(states); // last: when it writes, everything else about the step is on the disk
    }
  }

  /// How a part of a run ended.
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
    return start(config, out, new SingleWorld(), callbacks);
  }

  /// Begins a run of several processes, each of which calls this.
  ///
  /// @param out a folder that all of them see; missing or empty
  /// @param world stays open as long as the trainer; the caller closes it
  /// @param callbacks told in the first process alone
  public static Trainer start(RunConfig config, Path out, World world, Callback... callbacks) {
    return told(
        world,
        () -> {
          Torch.device(config.device());
          RunFolder folder = world.isFirst() ? RunFolder.create(out) : RunFolder.of(out);
          try {
            if (world.isFirst()) {
              folder.saveRunConfig(config); // so that it can be begun anew if it dies now
            }
            return begin(folder, config, world, callbacks);
          } catch (RuntimeException e) {
            if (world.isFirst()) {
              folder.discard();
            }
            throw e;
          }
        });
  }

  private static Trainer begin(
      RunFolder folder, RunConfig config, World world, Callback... callbacks) {
    Task task = open(folder, config, null, world, callbacks);
    try {
      var state = TrainingState.initial(world.size(), task.fingerprints());
      world.agree(facts(config, state));
      return new Trainer(world, folder, config, task, state, true, List.of(callbacks));
    } catch (RuntimeException e) {
      task.close();
      throw e;
    }
  }

  /// Goes on with a run from its last saved state; one that died before its first begins anew.
  ///
  /// @param changes keys to change; only those that leave the model and its data alone
  /// @throws InvalidInputException if there is nothing to resume, or the data or a key differs
  public static Trainer resume(Path out, ObjectNode changes, Callback... callbacks) {
    return resume(out, changes, new SingleWorld(), callbacks);
  }

  /// The same in several processes, each of which calls this; there may be more or fewer than
  /// before.
  public static Trainer resume(Path out, ObjectNode changes, World world, Callback... callbacks) {
    return told(
        world,
        () -> {
          if (!world.isFirst()) {
            world.barrier(); // until the folder is in order
          }
          RunFolder folder = world.isFirst() ? RunFolder.reopen(out) : RunFolder.of(out);
          if (world.isFirst()) {
            world.barrier();
          }
          RunConfig config = ResumeRules.apply(folder.readRunConfig(), changes);
          return folder.hasState()
              ? goOn(folder, config, world, callbacks)
              : begin(folder, config, world, callbacks);
        });
  }

  private static Trainer goOn(
      RunFolder folder, RunConfig config, World world, Callback... callbacks) {
    TrainingState state = folder.readState();
    Task task = open(folder, config, folder.training(), world, callbacks);
    Trainer trainer = null;
    try {
      ResumeRules.sameFingerprints(state.fingerprints(), task.fingerprints());
      world.agree(facts(config, state));
      if (state.processes() != world.size()) {
        preparing(world, callbacks)
            .accept(
                "trained by %d processes so far, now by %d: gradients are summed in another order, so results differ in their last bits"
                    .formatted(state.processes(), world.size()));
      }
      trainer = new Trainer(world, folder, config, task, state, false, List.of(callbacks));
      trainer.restore();
      if (world.isFirst()) {
        folder.saveRunConfig(config);
      }
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

  /// What the task needs on the disk is made by the first process, and found by the others.
  private static Task open(
      RunFolder folder,
      RunConfig config,
      @Nullable Path stored,
      World world,
      Callback... callbacks) {
    if (world.size() > 1 && config.training().carryState()) {
      throw new InvalidInputException(
          "training.carry_state is for one process, but there are %d".formatted(world.size()));
    }
    RunConfig own =
        world.size() > 1 && config.device().equals("cuda")
            ? config.withDevice("cuda:" + world.localRank())
            : config;
    if (!world.isFirst()) {
      world.barrier();
    }
    Task task = Tasks.open(own, folder.path(), stored, preparing(world, callbacks));
    if (world.isFirst()) {
      world.barrier();
    }
    return task;
  }

  /// What all processes must have alike.
  private static Map<String, String> facts(RunConfig config, TrainingState state) {
    var facts = new LinkedHashMap<String, String>(state.fingerprints());
    facts.put("configuration", RunConfigFile.fingerprint(config));
    facts.put("step", Integer.toString(state.step()));
    facts.put("libtorch", Torch.version());
    facts.put("java", System.getProperty("java.version", "unknown"));
    return facts;
  }

  /// Does something, and tells the other processes if it fails.
  private static <T> T told(World world, Supplier<T> body) {
    try {
      return body.get();
    } catch (RankFailedException e) {
      throw e; // they know
    } catch (RuntimeException e) {
      world.fail(String.valueOf(e.getMessage()));
      throw e;
    }
  }

  private static Consumer<String> preparing(World world, Callback... callbacks) {
    return what -> {
      if (!world.isFirst()) {
        return;
      }
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
    try {
      return told(world, () -> steps(stopRequested));
    } catch (RuntimeException e) {
      for (Callback callback : callbacks) {
        try {
          callback.onFailure(run, e);
        } catch (RuntimeException second) {
          e.addSuppressed(second); // such as the same full disk
        }
      }
      throw e;
    }
  }

  private Result steps(BooleanSupplier stopRequested) {
    stepEnded = System.nanoTime();
    tell(callback -> callback.onStart(run));
    if (fresh) {
      validate();
      tell(callback -> callback.onBoundary(run));
    } else {
      lookForTheEnd(false);
    }
    while (ending == null) {
      step();
      lookForTheEnd(stopRequested.getAsBoolean());
      if (finished || state.step() % config.validation().every() == 0) {
        validate();
        lookForTheEnd(false); // patience
      }
      long began = System.nanoTime();
      tell(callback -> callback.onBoundary(run));
      times.around(System.nanoTime() - began);
    }
    return end(ending);
  }

  /// Decides alike in all processes: what only one of them knows is put to the vote.
  private void lookForTheEnd(boolean stopRequested) {
    TrainingConfig limits = config.training();
    boolean timeOver = limits.minutes() > 0 && state.seconds() >= limits.minutes() * 60;
    double[] votes = world.sums(timeOver ? 1 : 0, stopRequested ? 1 : 0, ending == null ? 0 : 1);
    if (finished) {
      return;
    }
    int patience = config.validation().patience();
    String over = null;
    if (state.step() >= totalSteps) {
      over = "all steps are done";
    } else if (votes[0] > 0) {
      over = "the time is over";
    } else if (patience > 0 && state.validationsWithoutGain() > patience) {
      over = "no better validation for " + state.validationsWithoutGain() + " in a row";
    }
    finished = over != null;
    if (over != null) {
      ending = over;
    } else if (ending == null && votes[1] + votes[2] > 0) {
      ending = "asked to stop";
    }
  }

  private Result end(String why) {
    if (states != null) {
      states.await(); // the best model is read back from the disk
    }
    world.barrier();
    long maxTokens = finished ? 0 : config.validation().tokens();
    Task.Tally tally =
        state.bestLoss() == null // no validation was finite, so no model was stored
            ? task.validate(maxTokens, share())
            : task.validateStored(folder.path(), maxTokens, share());
    var end = new Callback.End(why, finished, measure(tally));
    tell(callback -> callback.onEnd(run, end));
    return new Result(folder.path(), state.step(), end);
  }

  private Task.Share share() {
    return new Task.Share(world.rank(), world.size());
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
      loss += backward(parts.get(i), Math.max(1, targets));
    }
    task.training(false);
    long waiting = System.nanoTime();
    reducer.finish();
    loss = world.sum(loss);
    times.reduce(System.nanoTime() - waiting);
    move(number, loss, parts, began);
    if (state.skippedInRow() > config.training().maxSkipped()) {
      throw new InvalidInputException(
          "%d steps in a row were not finite, the last of them step %d; the weights were not moved. Lower optimizer.learning_rate (%s) or look at the data, and go on with --resume"
              .formatted(state.skippedInRow(), state.step(), config.optimizer().learningRate()));
    }
  }

  /// This process's rows of the batch in the order in which they are computed.
  private List<Task.Part> parts(int number) {
    var parts = new ArrayList<Task.Part>();
    for (int i = 0; i < config.training().accumulate(); i++) {
      int from = firstRow(i);
      int to = firstRow(i + 1);
      if (from < to) { // else there are more parts than rows here
        parts.add(task.part(number, from, to));
      }
    }
    return parts;
  }

  private int firstRow(int part) {
    Share own = world.share(config.training().batchSize());
    return own.from() + (int) ((long) own.rows() * part / config.training().accumulate());
  }

  /// Adds a part's share of the gradients.
  ///
  /// @return its share of the mean loss
  private double backward(Task.Part part, double targets) {
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

  private long seed(int step, int firstRow) {
    long mixed = config.training().seed() * 0x9E3779B97F4A7C15L + step;
    return new SplittableRandom(mixed + 0x632BE59BD9B4E019L * firstRow).nextLong();
  }

  // ---- validation

  private void validate() {
    long began = System.nanoTime();
    try (var _ = averages == null ? null : averages.swap()) {
      Validation validation = measure(task.validate(config.validation().tokens(), share()));
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
    reducer.close();
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
