package io.xlstm4j.runtime;

import io.xlstm4j.core.safetensors.QuantizedTensors;
import io.xlstm4j.core.safetensors.QuantizedTensors.Int8;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/// A checkpoint's tensors as kernels read them: matrices where the file has them, vectors as copies
/// in float32.
///
/// @param source open as long as the matrices are used; names and shapes have been checked
/// @param arena owns the copies
record Weights(TensorSource source, Arena arena) {
  /// A matrix, mapped. Doubles, which no kernel reads, are copied as float32.
  WeightMatrix matrix(String name) {
    TensorInfo info = source.info(name);
    long[] shape = info.shape();
    int rows = Math.toIntExact(shape[0]);
    int columns = Math.toIntExact(shape[1]);
    @Nullable Int8 int8 =
        source instanceof QuantizedTensors quantized ? quantized.int8(name) : null;
    if (int8 != null) {
      return new WeightMatrix(
          WeightType.INT8, rows, columns, int8.data(), int8.scales(), int8.group());
    }
    return switch (info.dtype()) {
      case F32 -> WeightMatrix.of(WeightType.F32, rows, columns, source.data(name));
      case BF16 -> WeightMatrix.of(WeightType.BF16, rows, columns, source.data(name));
      case F16 -> WeightMatrix.of(WeightType.F16, rows, columns, source.data(name));
      case F64 -> WeightMatrix.of(WeightType.F32, rows, columns, vector(name));
      case I64, I32, I8, U8 -> throw new IllegalStateException(name + " is no weight");
    };
  }

  /// Returns whether a tensor is there.
  boolean has(String name) {
    return source.tensors().containsKey(name);
  }

  /// A copy in float32.
  float[] floats(String name) {
    return source.floats(name);
  }

  /// A copy in float32, row-major.
  MemorySegment vector(String name) {
    return copy(source.floats(name));
  }

  /// A copy in float32, or null if there is no such tensor.
  @Nullable MemorySegment optional(String name) {
    return has(name) ? vector(name) : null;
  }

  /// `1 + w`: what a stored norm weight of the paper family stands for.
  MemorySegment onePlus(String name) {
    float[] values = source.floats(name);
    for (int i = 0; i < values.length; i++) {
      values[i] += 1;
    }
    return copy(values);
  }

  MemorySegment copy(float[] values) {
    MemorySegment made = arena.allocate((long) values.length * Float.BYTES, 64);
    MemorySegment.copy(values, 0, made, ValueLayout.JAVA_FLOAT, 0, values.length);
    return made;
  }

  /// A float32 matrix out of copied numbers.
  WeightMatrix matrix(float[] values, int rows, int columns) {
    return WeightMatrix.of(WeightType.F32, rows, columns, copy(values));
  }
}
