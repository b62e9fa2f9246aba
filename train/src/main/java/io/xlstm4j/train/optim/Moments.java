package io.xlstm4j.train.optim;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.torch.Tensors;
import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;

/// Reads back what belongs to a parameter beside its weight.
final class Moments {
  private Moments() {}

  /// @throws InvalidInputException if the stored tensor is missing or has another shape
  static void restore(Tensor into, String name, TensorSource source) {
    long[] shape = source.info(name).shape();
    long[] expected = into.sizes().vec().get();
    if (!Arrays.equals(shape, expected)) {
      throw new InvalidInputException(
          "training state %s has shape %s, but the model needs %s"
              .formatted(name, Arrays.toString(shape), Arrays.toString(expected)));
    }
    into.copy_(Tensors.of(source.floats(name), shape));
  }
}
