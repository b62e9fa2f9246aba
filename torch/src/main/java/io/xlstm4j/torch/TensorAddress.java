package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.empty;
import static org.bytedeco.pytorch.global.torch.from_blob;

import java.util.Arrays;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// The address and size of a contiguous tensor of any type, on any device; the tensor's owner keeps
/// the memory.
///
/// @param address in the device's memory
@SuppressWarnings("ArrayRecordComponent") // never compared
record TensorAddress(long address, long[] shape, ScalarType type) {
  static TensorAddress of(Tensor x) {
    long address = x.numel() == 0 ? 0 : TensorSegments.address(x);
    return new TensorAddress(address, Ops.shape(x), x.scalar_type().intern());
  }

  /// The same numbers as a tensor without a graph, valid as long as the memory is.
  Tensor tensor(Device device) {
    TensorOptions options = Ops.options(type, device);
    return Arrays.stream(shape).anyMatch(size -> size == 0)
        ? empty(shape, options, null)
        : from_blob(new At(address), shape, options);
  }

  private static final class At extends Pointer {
    At(long address) {
      this.address = address;
    }
  }
}
