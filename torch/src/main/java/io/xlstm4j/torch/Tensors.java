package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.empty;
import static org.bytedeco.pytorch.global.torch.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Numbers between Java arrays and tensors. Every tensor made here belongs to the caller's scope.
public final class Tensors {
  private Tensors() {}

  /// A float32 tensor on the CPU.
  public static Tensor of(float[] values, long... shape) {
    Torch.load();
    return tensor(values).view(shape);
  }

  /// A float64 tensor on the CPU.
  public static Tensor of(double[] values, long... shape) {
    Torch.load();
    return tensor(values, new TensorOptions(ScalarType.Double)).view(shape);
  }

  /// An int64 tensor on the CPU.
  public static Tensor of(int[] values, long... shape) {
    Torch.load();
    return tensor(values).to(ScalarType.Long).view(shape);
  }

  /// A boolean tensor on the CPU.
  public static Tensor of(boolean[] values, long... shape) {
    Torch.load();
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (values[i] ? 1 : 0);
    }
    return tensor(bytes).to(ScalarType.Bool).view(shape);
  }

  /// A uint8 tensor on the CPU, whatever type `tensor` would make of signed bytes.
  static Tensor ofBytes(byte[] values) {
    Tensor bytes = empty(new long[] {values.length}, new TensorOptions(ScalarType.Byte), null);
    memory(bytes, values.length).copyFrom(MemorySegment.ofArray(values));
    return bytes;
  }

  /// The numbers of a tensor of any type on any device, row-major, as float32.
  public static float[] floats(Tensor x) {
    try (var _ = new PointerScope()) {
      Tensor flat = onCpu(x, ScalarType.Float);
      return memory(flat, flat.numel() * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  /// The numbers of a tensor of any type on any device, row-major, as float64.
  public static double[] doubles(Tensor x) {
    try (var _ = new PointerScope()) {
      Tensor flat = onCpu(x, ScalarType.Double);
      return memory(flat, flat.numel() * Double.BYTES).toArray(ValueLayout.JAVA_DOUBLE);
    }
  }

  /// The memory of a contiguous CPU tensor, valid as long as the tensor is.
  static MemorySegment memory(Tensor x, long bytes) {
    return bytes == 0
        ? MemorySegment.NULL
        : MemorySegment.ofAddress(x.data_ptr().address()).reinterpret(bytes);
  }

  static Tensor onCpu(Tensor x, ScalarType type) {
    return x.detach().to(Torch.device("cpu"), type).contiguous();
  }
}
