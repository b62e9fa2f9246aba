package io.xlstm4j.torch;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// Gradients of some parameters, computed by a backward pass of ours, on their way to the
/// parameters.
final class ParameterGradients {
  private final Parameters store;
  private final List<Tensor> parameters;
  private final List<Tensor> gradients;

  /// @throws IllegalStateException if the parameters were freed
  ParameterGradients(Parameters store, List<Tensor> parameters) {
    this(store, parameters, parameters.stream().map(p -> empty(store, p)).toList());
  }

  /// Computed already.
  ///
  /// @param gradients of the parameters' shapes, in order
  ParameterGradients(Parameters store, List<Tensor> parameters, List<Tensor> gradients) {
    store.checkOpen();
    this.store = store;
    this.parameters = parameters;
    this.gradients = gradients;
  }

  private static Tensor empty(Parameters store, Tensor parameter) {
    store.checkOpen(); // else the parameter is gone
    return TensorSegments.floats(Ops.shape(parameter));
  }

  /// Returns the memory of the gradients.
  List<MemorySegment> memory() {
    return gradients.stream().map(TensorSegments::segment).toList();
  }

  /// Multiplies them by a number.
  void times(Tensor factor) {
    gradients.forEach(gradient -> gradient.mul_(factor));
  }

  /// Adds them to what the parameters have gathered so far.
  void add() {
    for (int i = 0; i < gradients.size(); i++) {
      Tensor parameter = parameters.get(i);
      if (!parameter.requires_grad()) {
        continue;
      }
      Tensor gathered = parameter.grad();
      if (gathered.defined()) {
        gathered.add_(gradients.get(i));
      } else {
        parameter.mutable_grad().put(gradients.get(i));
      }
      store.gradientAdded(parameter);
    }
  }
}
