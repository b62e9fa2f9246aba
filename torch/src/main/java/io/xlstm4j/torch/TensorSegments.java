package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.empty;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The memory of contiguous CPU tensors as the kernels take it. A segment lives as long as its
/// tensor, which somebody else must see to.
final class TensorSegments {
  private TensorSegments() {}

  /// A fresh float32 tensor with anything in it.
  static Tensor floats(long... shape) {
    return empty(shape, new TensorOptions(ScalarType.Float), null);
  }

  static long address(Tensor x) {
    return x.data_ptr().address();
  }

  static long[] addresses(List<Tensor> tensors) {
    return tensors.stream().mapToLong(TensorSegments::address).toArray();
  }

  static MemorySegment segment(Tensor x) {
    return memory(address(x), x.numel());
  }

  /// The first bytes of a tensor.
  static MemorySegment bytes(Tensor x, long count) {
    return MemorySegment.ofAddress(address(x)).reinterpret(count);
  }

  /// Null for none.
  static @Nullable MemorySegment optional(@Nullable Tensor x) {
    return x == null ? null : segment(x);
  }

  static MemorySegment memory(long address, long floats) {
    return MemorySegment.ofAddress(address).reinterpret(floats * Float.BYTES);
  }

  /// The bytes of a mask; null for address 0, which means there is none.
  static @Nullable MemorySegment mask(long address, long positions) {
    return address == 0 ? null : MemorySegment.ofAddress(address).reinterpret(positions);
  }

  /// The masks of a layout as bytes, and who owns them.
  record Masks(@Nullable Tensor valid, @Nullable Tensor starts) {
    static Masks of(SequenceLayout layout) {
      return new Masks(
          layout.valid() == null ? null : layout.valid().contiguous(),
          layout.starts() == null ? null : layout.starts().contiguous());
    }

    /// Returns the addresses of `valid` and `starts`; 0 for none.
    long[] addresses() {
      return new long[] {valid == null ? 0 : address(valid), starts == null ? 0 : address(starts)};
    }

    List<Tensor> tensors() {
      var tensors = new ArrayList<Tensor>();
      if (valid != null) {
        tensors.add(valid);
      }
      if (starts != null) {
        tensors.add(starts);
      }
      return tensors;
    }
  }
}
