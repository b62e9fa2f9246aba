package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.empty;

import io.xlstm4j.cuda.driver.DeviceSpan;
import java.util.List;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The memory of tensors on a GPU as our kernels take it. A span lives as long as its tensor, which
/// somebody else must see to.
final class CudaTensors {
  private static final int ALIGNMENT = 16; // bytes, of what the kernels read

  private CudaTensors() {}

  /// A fresh tensor with anything in it.
  static Tensor make(Device device, ScalarType type, long... shape) {
    return empty(shape, Ops.options(type, device), null);
  }

  /// Fresh memory, one byte at least.
  static Tensor bytes(Device device, long count) {
    return make(device, ScalarType.Byte, Math.max(1, count));
  }

  static DeviceSpan span(Tensor x) {
    return new DeviceSpan(TensorSegments.address(x), x.nbytes());
  }

  /// The span of a mask of so many positions; null for address 0, which means there is none.
  static @Nullable DeviceSpan mask(long address, long positions) {
    return address == 0 ? null : new DeviceSpan(address, positions);
  }

  /// Returns the address of a mask's bytes, 0 for none; what owns them is added to `kept`.
  static long maskAddress(@Nullable Tensor mask, List<Tensor> kept) {
    if (mask == null) {
      return 0;
    }
    Tensor bytes = aligned(mask);
    kept.add(bytes);
    return TensorSegments.address(bytes);
  }

  /// The same numbers, contiguous and from a multiple of 16 bytes on: a view may begin anywhere.
  static Tensor aligned(Tensor x) {
    Tensor contiguous = x.contiguous();
    return TensorSegments.address(contiguous) % ALIGNMENT == 0 ? contiguous : contiguous.clone();
  }

  /// A gradient as the kernels read it; zeros for an output that nothing depends on.
  static Tensor orZero(@Nullable Tensor x, Device device, ScalarType type, long... shape) {
    return x == null ? make(device, type, shape).zero_() : aligned(x.to(type));
  }
}
