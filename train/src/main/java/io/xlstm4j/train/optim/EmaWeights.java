package io.xlstm4j.train.optim;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.torch.MovingAverages;
import io.xlstm4j.torch.TorchTensorData;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;

/// An exponential moving average of a model's weights: after each step `average = decay · average +
/// (1 - decay) · weight`, beginning with the first weights.
public final class EmaWeights implements AutoCloseable {
  private final List<Slot> slots = new ArrayList<>();
  private final double decay;
  private boolean swapped;

  /// One weight, the model's, with its average, ours.
  private record Slot(String name, Tensor weight, Tensor average) {}

  /// @param parameters by name; owned by the model
  /// @param decay in (0, 1)
  public EmaWeights(Map<String, Tensor> parameters, double decay) {
    this.decay = decay;
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      parameters.forEach((name, weight) -> {
        Tensor average = weight.detach().clone().retainReference();
        slots.add(new Slot(name, weight, average));
      });
    }
  }

  /// Takes the weights of now in; to be called after each step.
  public void update() {
    MovingAverages.update(
        slots.stream().map(Slot::weight).toList(),
        slots.stream().map(Slot::average).toList(),
        1 - decay);
  }

  /// Puts the averages into the model until the result is closed, which puts the weights back.
  public Swap swap() {
    exchange();
    swapped = true;
    return new Swap(this);
  }

  /// While it is open, the model has the averaged weights.
  public static final class Swap implements AutoCloseable {
    private final EmaWeights weights;

    private Swap(EmaWeights weights) {
      this.weights = weights;
    }

    @Override
    public void close() {
      weights.exchange();
      weights.swapped = false;
    }
  }

  private void exchange() {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Slot slot : slots) {
        Tensor weight = slot.weight.detach(); // the same memory
        Tensor kept = weight.clone();
        weight.copy_(slot.average);
        slot.average.copy_(kept);
      }
    }
  }

  /// The averages, to be saved; valid as long as the caller's scope is open.
  public List<TensorData> state() {
    if (swapped) {
      throw new IllegalStateException("the averages are in the model now; close the swap first");
    }
    var tensors = new ArrayList<TensorData>();
    for (Slot slot : slots) {
      tensors.add(TorchTensorData.of("average." + slot.name, slot.average));
    }
    return tensors;
  }

  /// Takes averages back.
  ///
  /// @throws InvalidInputException if one is missing or does not fit its parameter
  public void restore(TensorSource source) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Slot slot : slots) {
        TorchTensorData.copyInto(slot.average, "average." + slot.name, source);
      }
    }
  }

  @Override
  public void close() {
    slots.forEach(slot -> slot.average.releaseReference());
    slots.clear();
  }
}
