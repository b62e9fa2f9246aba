package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.stack;
import static org.bytedeco.pytorch.global.torch.zeros_like;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.RecordComponents;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.cuda.optimizer.OptimizerKernels;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// An optimizer: Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101,
/// algorithm 2), as PyTorch's `AdamW`.
///
/// ```java
/// try (var lstm = new Slstm(1, 16, 4);
///     var optimizer = new AdamW(lstm.parameters(), 0.01)) {
///   for (int step = 0; step < 100; step++) {
///     try (var _ = new PointerScope()) {
///       Tensor loss = loss(lstm);
///       optimizer.zeroGradients();
///       loss.backward();
///       optimizer.step();
///     }
///   }
/// }
/// ```
///
/// The state of libtorch's optimizer cannot be read through its Java bindings, so this one is
/// written here: its moments are saved and restored exactly. For use by one thread at a time.
public final class AdamW implements AutoCloseable {
  private final Map<String, Slot> slots = new LinkedHashMap<>();
  private final @Nullable Parameters store; // null if the caller looks after the parameters
  private final Options options;
  private double learningRate;
  private long updates;

  /// The numbers of the algorithm. Immutable, and every instance is valid.
  ///
  /// @param learningRate size of an update, above 0
  /// @param beta1 decay of the first moment, in \[0, 1)
  /// @param beta2 decay of the second moment, in \[0, 1)
  /// @param epsilon added to the root of the second moment, above 0
  /// @param weightDecay share of a parameter that an update takes away, times the learning rate; 0
  ///   for none
  public record Options(
      double learningRate, double beta1, double beta2, double epsilon, double weightDecay) {
    /// PyTorch's defaults: 0.001, 0.9, 0.999, 1e-8, 0.01.
    public static final Options DEFAULT = new Options(1e-3, 0.9, 0.999, 1e-8, 0.01);

    /// Checks.
    ///
    /// @throws IllegalArgumentException naming the value that is out of range
    public Options {
      Check.positive("learningRate", learningRate);
      Check.inHalfOpenRange("beta1", beta1, 0, 1);
      Check.inHalfOpenRange("beta2", beta2, 0, 1);
      Check.positive("epsilon", epsilon);
      Check.notNegative("weightDecay", weightDecay);
    }

    public Options withLearningRate(double value) {
      return RecordComponents.with(this, "learningRate", value);
    }

    public Options withBeta1(double value) {
      return RecordComponents.with(this, "beta1", value);
    }

    public Options withBeta2(double value) {
      return RecordComponents.with(this, "beta2", value);
    }

    public Options withEpsilon(double value) {
      return RecordComponents.with(this, "epsilon", value);
    }

    public Options withWeightDecay(double value) {
      return RecordComponents.with(this, "weightDecay", value);
    }
  }

  /// How one parameter is treated.
  ///
  /// @param learningRateFactor times the learning rate; 0 for a frozen one
  /// @param weightDecay decoupled; 0 for none
  public record Settings(double learningRateFactor, double weightDecay) {}

  /// One parameter with its moments; the moments are ours.
  ///
  /// @param fused whether our kernel for the CPU updates it
  /// @param cuda our kernels for its GPU; null for none
  private record Slot(
      Tensor parameter,
      Tensor mean,
      Tensor square,
      Settings settings,
      boolean fused,
      @Nullable CudaOptimizer cuda) {}

  /// Makes an optimizer of all parameters of a layer or model, with [Options#DEFAULT] but for the
  /// learning rate.
  ///
  /// @param parameters stay their owner's
  /// @param learningRate above 0
  public AdamW(Parameters parameters, double learningRate) {
    this(parameters, Options.DEFAULT.withLearningRate(learningRate));
  }

  /// Makes an optimizer of all parameters of a layer or model.
  ///
  /// @param parameters stay their owner's; those that are added later are not optimized
  public AdamW(Parameters parameters, Options options) {
    this(parameters, parameters.byName(), options, _ -> new Settings(1, options.weightDecay()));
  }

  /// Makes an optimizer that treats each parameter in its own way.
  ///
  /// @param parameters by name; stay their owner's
  /// @param settings of the parameter of a name; its weight decay counts, not that of `options`
  public AdamW(
      Map<String, Tensor> parameters, Options options, Function<String, Settings> settings) {
    this(null, parameters, options, settings);
  }

  private AdamW(
      @Nullable Parameters store,
      Map<String, Tensor> parameters,
      Options options,
      Function<String, Settings> settings) {
    this.store = store;
    this.options = options;
    learningRate = options.learningRate();
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Map.Entry<String, Tensor> entry : parameters.entrySet()) {
        Tensor parameter = entry.getValue();
        slots.put(
            entry.getKey(),
            new Slot(
                parameter,
                zeros_like(parameter).retainReference(),
                zeros_like(parameter).retainReference(),
                settings.apply(entry.getKey()),
                FusedAdamW.takes(parameter),
                CudaOptimizer.forParameter(parameter)));
      }
    }
  }

  /// Forgets all gradients, as PyTorch's `zero_grad()`.
  public void zeroGradients() {
    checkOpen();
    for (Slot slot : slots.values()) {
      slot.parameter.mutable_grad().reset();
    }
  }

  /// Changes the learning rate of the steps that follow, for schedules.
  ///
  /// @param value not below 0
  public void learningRate(double value) {
    Check.notNegative("learningRate", value);
    learningRate = value;
  }

  /// Updates every parameter that has a gradient.
  ///
  /// @throws IllegalStateException if the parameters were freed
  public void step() {
    step(learningRate, 1);
  }

  private void checkOpen() {
    if (store != null) {
      store.checkOpen();
    }
  }

  /// Bounds every single gradient.
  ///
  /// @param bound largest magnitude, above 0
  public void clipValue(double bound) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Slot slot : slots.values()) {
        Tensor gradient = slot.parameter.grad();
        if (gradient.defined()) {
          gradient.clamp_(
              new ScalarOptional(new Scalar(-bound)), new ScalarOptional(new Scalar(bound)));
        }
      }
    }
  }

  /// Returns the norm over all gradients together, in double precision.
  public double gradientNorm() {
    double squares = 0;
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var onDevice = new ArrayList<Tensor>(); // read all at once: each read waits for the device
      var onGpu = new LinkedHashMap<CudaOptimizer, List<Tensor>>();
      for (Slot slot : slots.values()) {
        Tensor gradient = slot.parameter.grad();
        if (!gradient.defined()) {
          continue;
        }
        if (slot.fused) {
          squares += FusedAdamW.sumOfSquares(gradient);
        } else if (slot.cuda != null) {
          onGpu.computeIfAbsent(slot.cuda, _ -> new ArrayList<>()).add(gradient);
        } else {
          onDevice.add(gradient.to(ScalarType.Double).square().sum());
        }
      }
      for (Map.Entry<CudaOptimizer, List<Tensor>> entry : onGpu.entrySet()) {
        squares += entry.getKey().sumOfSquares(entry.getValue());
      }
      if (!onDevice.isEmpty()) {
        var all = new TensorVector(onDevice.toArray(Tensor[]::new));
        squares += stack(all).sum().item_double();
      }
    }
    return Math.sqrt(squares);
  }

  /// Updates the parameters with a learning rate of the caller's.
  ///
  /// @param rate learning rate of this step, before the factors of groups
  /// @param scale what gradients are multiplied by first, to clip them
  public void step(double rate, double scale) {
    checkOpen();
    updates++;
    double beta1 = options.beta1();
    double beta2 = options.beta2();
    double correction1 = 1 - Math.pow(beta1, (double) updates);
    double correction2 = Math.sqrt(1 - Math.pow(beta2, (double) updates));
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var onGpu = new LinkedHashMap<CudaOptimizer, List<CudaOptimizer.Update>>();
      for (Slot slot : slots.values()) {
        double own = rate * slot.settings.learningRateFactor();
        Tensor gradient = slot.parameter.grad();
        if (slot.settings.learningRateFactor() == 0 || !gradient.defined()) {
          continue; // a frozen one stays as it is, so does one that the loss does not depend on
        }
        double decay = 1 - own * slot.settings.weightDecay();
        if (slot.cuda != null) {
          onGpu
              .computeIfAbsent(slot.cuda, _ -> new ArrayList<>())
              .add(
                  new CudaOptimizer.Update(
                      slot.parameter, gradient, slot.mean, slot.square, decay, own / correction1));
          continue;
        }
        var step =
            new FusedAdamW.Step(
                scale, decay, own / correction1, beta1, beta2, correction2, options.epsilon());
        if (slot.fused) {
          FusedAdamW.update(step, slot.parameter, gradient, slot.mean, slot.square);
        } else {
          updateByOperations(slot.parameter, gradient, slot.mean, slot.square, step);
        }
      }
      var step =
          new OptimizerKernels.Step(
              (float) scale, beta1, beta2, (float) correction2, (float) options.epsilon());
      onGpu.forEach((kernels, updates) -> kernels.adamW(step, updates));
    }
  }

  /// Returns how many times the parameters were updated; the bias correction counts these.
  public long updates() {
    return updates;
  }

  /// The reference implementation, operation by operation. Changes the gradient too.
  static void updateByOperations(
      Tensor parameter, Tensor gradient, Tensor mean, Tensor square, FusedAdamW.Step step) {
    if (step.gradientScale() != 1) {
      gradient.mul_(new Scalar(step.gradientScale()));
    }
    parameter.mul_(new Scalar(step.decay()));
    mean.mul_(new Scalar(step.beta1())).add_(gradient, new Scalar(1 - step.beta1()));
    square
        .mul_(new Scalar(step.beta2()))
        .addcmul_(gradient, gradient, new Scalar(1 - step.beta2()));
    Tensor denominator =
        square.sqrt().div_(new Scalar(step.squareCorrection())).add_(new Scalar(step.epsilon()));
    parameter.addcdiv_(mean, denominator, new Scalar(-step.rate()));
  }

  /// Returns the moments, to be saved; valid as long as the caller's scope is open.
  public List<TensorData> state() {
    var tensors = new ArrayList<TensorData>();
    slots.forEach((name, slot) -> {
      tensors.add(TorchTensorData.of("mean." + name, slot.mean));
      tensors.add(TorchTensorData.of("square." + name, slot.square));
    });
    return tensors;
  }

  /// Restores moments that [#state] gave.
  ///
  /// @param updatesDone how many times the parameters were updated
  /// @throws InvalidInputException if a moment is missing or does not fit its parameter
  public void restore(TensorSource source, long updatesDone) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Map.Entry<String, Slot> entry : slots.entrySet()) {
        TorchTensorData.copyInto(entry.getValue().mean, "mean." + entry.getKey(), source);
        TorchTensorData.copyInto(entry.getValue().square, "square." + entry.getKey(), source);
      }
    }
    updates = updatesDone;
  }

  /// Frees the moments; the parameters stay.
  @Override
  public void close() {
    for (Slot slot : slots.values()) {
      slot.mean.releaseReference();
      slot.square.releaseReference();
    }
    slots.clear();
  }
}
