package io.xlstm4j.train.run;

import io.xlstm4j.core.safetensors.TensorData;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/// A copy of tensors in memory of its own, so that training may go on while they are written.
final class Snapshot implements AutoCloseable {
  private static final int ALIGNMENT = 64;

  private final Arena arena = Arena.ofShared();

  /// @return the same names, types and numbers, valid until this is closed
  List<TensorData> copy(List<TensorData> tensors) {
    var copies = new ArrayList<TensorData>();
    for (TensorData tensor : tensors) {
      MemorySegment own = arena.allocate(Math.max(1, tensor.byteSize()), ALIGNMENT);
      MemorySegment exact = own.asSlice(0, tensor.byteSize());
      exact.copyFrom(tensor.data());
      copies.add(new TensorData(tensor.name(), tensor.dtype(), tensor.shape(), exact));
    }
    return copies;
  }

  @Override
  public void close() {
    arena.close();
  }
}
