package io.xlstm4j.train.optim;

import static org.bytedeco.pytorch.global.torch.stack;
import static org.bytedeco.pytorch.global.torch.zeros_like;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.torch.FusedAdamW;
import io.xlstm4j.torch.TorchTensorData;
import io.xlstm4j.train.config.OptimizerConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2).
///
/// Ours and not libtorch's, because a run must save and restore the moments exactly and the presets
/// do not reach them; a test holds it to libtorch's numbers.
public final class AdamW implements AutoCloseable {
  private final Map<String, Slot> slots = new LinkedHashMap<>();
  private final double beta1;
  private final double beta2;
  private final double epsilon;
  private long updates;

  /// One parameter with its moments; the moments are ours.
  private record Slot(
      Tensor parameter, Tensor mean, Tensor square, ParameterSettings settings, boolean fused) {}

  /// @param parameters by name; owned by the model
  /// @param decays which of them the model wants decayed
  /// @throws InvalidInputException if a group of the configuration matches nothing
  public AdamW(Map<String, Tensor> parameters, Predicate<String> decays, OptimizerConfig config) {
    Map<String, ParameterSettings> settings =
        ParameterSettings.of(parameters.keySet(), decays, config);
    beta1 = config.beta1();
    beta2 = config.beta2();
    epsilon = config.epsilon();
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
                Objects.requireNonNull(settings.get(entry.getKey())),
                FusedAdamW.takes(parameter)));
      }
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

  /// The norm over all gradients together, in double precision.
  public double gradientNorm() {
    double squares = 0;
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var onDevice = new ArrayList<Tensor>(); // read all at once: each read waits for the device
      for (Slot slot : slots.values()) {
        Tensor gradient = slot.parameter.grad();
        if (!gradient.defined()) {
          continue;
        }
        if (slot.fused) {
          squares += FusedAdamW.sumOfSquares(gradient);
        } else {
          onDevice.add(gradient.to(ScalarType.Double).square().sum());
        }
      }
      if (!onDevice.isEmpty()) {
        var all = new TensorVector(onDevice.toArray(Tensor[]::new));
        squares += stack(all).sum().item_double();
      }
    }
    return Math.sqrt(squares);
  }

  /// Moves the parameters.
  ///
  /// @param learningRate of this step, before the factors of groups
  /// @param scale what gradients are multiplied by first, to clip them
  public void step(double learningRate, double scale) {
    updates++;
    double correction1 = 1 - Math.pow(beta1, (double) updates);
    double correction2 = Math.sqrt(1 - Math.pow(beta2, (double) updates));
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Slot slot : slots.values()) {
        double rate = learningRate * slot.settings.learningRateFactor();
        if (slot.settings.learningRateFactor() > 0) { // a frozen one stays as it is
          move(slot, scale, rate, correction1, correction2);
        }
      }
    }
  }

  /// How many times the parameters were moved; the bias correction counts these.
  public long updates() {
    return updates;
  }

  private void move(
      Slot slot, double scale, double learningRate, double correction1, double correction2) {
    Tensor gradient = slot.parameter.grad();
    if (!gradient.defined()) {
      return; // a parameter that the loss does not depend on
    }
    double decay = 1 - learningRate * slot.settings.weightDecay();
    if (slot.fused) {
      var step =
          new FusedAdamW.Step(
              scale, decay, learningRate / correction1, beta1, beta2, correction2, epsilon);
      FusedAdamW.move(step, slot.parameter, gradient, slot.mean, slot.square);
      return;
    }
    if (scale != 1) {
      gradient.mul_(new Scalar(scale));
    }
    slot.parameter.mul_(new Scalar(decay));
    slot.mean.mul_(new Scalar(beta1)).add_(gradient, new Scalar(1 - beta1));
    slot.square.mul_(new Scalar(beta2)).addcmul_(gradient, gradient, new Scalar(1 - beta2));
    Tensor denominator = slot.square.sqrt().div_(new Scalar(correction2)).add_(new Scalar(epsilon));
    slot.parameter.addcdiv_(slot.mean, denominator, new Scalar(-learningRate / correction1));
  }

  /// The moments, to be saved; valid as long as the caller's scope is open.
  public List<TensorData> state() {
    var tensors = new ArrayList<TensorData>();
    slots.forEach((name, slot) -> {
      tensors.add(TorchTensorData.of("mean." + name, slot.mean));
      tensors.add(TorchTensorData.of("square." + name, slot.square));
    });
    return tensors;
  }

  /// Takes moments back.
  ///
  /// @param updatesDone how many times they were moved
  /// @throws InvalidInputException if a moment is missing or does not fit its parameter
  public void restore(TensorSource source, long updatesDone) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Map.Entry<String, Slot> entry : slots.entrySet()) {
        Moments.restore(entry.getValue().mean, "mean." + entry.getKey(), source);
        Moments.restore(entry.getValue().square, "square." + entry.getKey(), source);
      }
    }
    updates = updatesDone;
  }

  @Override
  public void close() {
    for (Slot slot : slots.values()) {
      slot.mean.releaseReference();
      slot.square.releaseReference();
    }
    slots.clear();
  }
}
