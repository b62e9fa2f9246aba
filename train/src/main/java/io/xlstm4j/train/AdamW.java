package io.xlstm4j.train;

import static org.bytedeco.pytorch.global.torch.zeros_like;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.torch.FusedAdamW;
import io.xlstm4j.torch.Tensors;
import io.xlstm4j.torch.TorchTensorData;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2),
/// with clipping by the global norm before it.
///
/// Ours and not libtorch's, because a run must save and restore the moments exactly and the presets
/// do not reach them; a test holds it to libtorch's numbers.
public final class AdamW implements AutoCloseable {
  private final Map<String, Slot> slots = new LinkedHashMap<>();
  private final double beta1;
  private final double beta2;
  private final double epsilon;
  private final double weightDecay;
  private long step;

  /// One parameter with its moments; the moments are ours.
  private record Slot(
      Tensor parameter, Tensor mean, Tensor square, boolean decays, boolean fused) {}

  /// @param parameters by name; owned by the model
  /// @param decays which of them the weight decay applies to
  public AdamW(Map<String, Tensor> parameters, Predicate<String> decays, TrainingConfig config) {
    beta1 = config.beta1();
    beta2 = config.beta2();
    epsilon = config.epsilon();
    weightDecay = config.weightDecay();
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
                decays.test(entry.getKey()),
                FusedAdamW.takes(parameter)));
      }
    }
  }

  /// Clips the gradients and moves the parameters.
  ///
  /// @param clipNorm bound of the global norm; 0 for none
  /// @return the global norm before clipping; if it is not finite, nothing was moved
  public double step(double learningRate, double clipNorm) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      double norm = gradientNorm();
      if (!Double.isFinite(norm)) {
        return norm;
      }
      step++;
      double scale = clipNorm > 0 && norm > clipNorm ? clipNorm / norm : 1;
      double correction1 = 1 - Math.pow(beta1, (double) step);
      double correction2 = Math.sqrt(1 - Math.pow(beta2, (double) step));
      for (Slot slot : slots.values()) {
        move(slot, scale, learningRate, correction1, correction2);
      }
      return norm;
    }
  }

  private void move(
      Slot slot, double scale, double learningRate, double correction1, double correction2) {
    Tensor gradient = slot.parameter.grad();
    if (!gradient.defined()) {
      return; // a parameter that the loss does not depend on
    }
    double decay = slot.decays ? 1 - learningRate * weightDecay : 1;
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

  private double gradientNorm() {
    double squares = 0;
    for (Slot slot : slots.values()) {
      Tensor gradient = slot.parameter.grad();
      if (gradient.defined()) {
        squares +=
            slot.fused
                ? FusedAdamW.sumOfSquares(gradient)
                : gradient.to(ScalarType.Double).square().sum().item_double();
      }
    }
    return Math.sqrt(squares);
  }

  /// The moments, to be saved; valid as long as the caller's scope is open.
  List<TensorData> state() {
    var tensors = new ArrayList<TensorData>();
    slots.forEach((name, slot) -> {
      tensors.add(TorchTensorData.of("mean." + name, slot.mean));
      tensors.add(TorchTensorData.of("square." + name, slot.square));
    });
    return tensors;
  }

  /// Takes moments back.
  ///
  /// @param stepsDone optimizer steps these moments have seen
  /// @throws InvalidInputException if a moment is missing or does not fit its parameter
  void restore(TensorSource source, long stepsDone) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Map.Entry<String, Slot> entry : slots.entrySet()) {
        restore(entry.getValue().mean, "mean." + entry.getKey(), source);
        restore(entry.getValue().square, "square." + entry.getKey(), source);
      }
    }
    step = stepsDone;
  }

  private static void restore(Tensor moment, String name, TensorSource source) {
    long[] shape = source.info(name).shape();
    long[] expected = moment.sizes().vec().get();
    if (!Arrays.equals(shape, expected)) {
      throw new InvalidInputException(
          "optimizer state %s has shape %s, but the model needs %s"
              .formatted(name, Arrays.toString(shape), Arrays.toString(expected)));
    }
    moment.copy_(Tensors.of(source.floats(name), shape));
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
