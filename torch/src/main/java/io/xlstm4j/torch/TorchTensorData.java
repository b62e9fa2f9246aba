package io.xlstm4j.torch;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// A tensor as the safetensors writer takes it, without a copy where it is contiguous on the CPU.
public final class TorchTensorData {
  private TorchTensorData() {}

  /// @return the tensor's bytes, valid as long as the caller's scope is open
  /// @throws IllegalArgumentException if safetensors has no such type
  /// @throws IllegalStateException if no scope is open: nothing would keep the bytes
  public static TensorData of(String name, Tensor x) {
    Scopes.callerScope();
    Tensor flat = Tensors.onCpu(x, x.scalar_type());
    DType type = type(x.scalar_type());
    return new TensorData(
        name, type, Ops.shape(x), Tensors.memory(flat, flat.numel() * type.bytes()));
  }

  /// Copies a stored tensor that belongs to a training state, for example a moment of a parameter.
  ///
  /// @param into of any type and device; changed
  /// @throws InvalidInputException if the stored tensor is missing or has another shape
  public static void copyInto(Tensor into, String name, TensorSource source) {
    long[] shape = source.info(name).shape();
    long[] expected = Ops.shape(into);
    if (!Arrays.equals(shape, expected)) {
      throw new InvalidInputException(
          "training state %s has shape %s, but the model needs %s"
              .formatted(name, Arrays.toString(shape), Arrays.toString(expected)));
    }
    into.copy_(Tensors.of(source.floats(name), shape));
  }

  private static DType type(ScalarType type) {
    return switch (type.intern()) { // the presets make a new object each time
      case Double -> DType.F64;
      case Float -> DType.F32;
      case BFloat16 -> DType.BF16;
      case Half -> DType.F16;
      case Long -> DType.I64;
      case Int -> DType.I32;
      case Byte -> DType.U8;
      default ->
          throw new IllegalArgumentException("safetensors has no place for the type " + type);
    };
  }
}
