package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import io.xlstm4j.core.safetensors.ConvertedTensor;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.core.safetensors.TensorToWrite;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The two layouts in which official checkpoints hold the recurrent kernel and the bias of an sLSTM
/// cell (docs/math.md 1.2). The kernel's shape tells which it is, and the bias follows it.
final class KernelLayouts {
  private static final String BIAS = "_bias_";

  private KernelLayouts() {}

  /// A kernel or bias in the layout that the configuration names, or null for any other tensor.
  ///
  /// @param type of the new tensor
  static @Nullable TensorToWrite converted(
      TensorInfo info, TensorSource source, PaperModelConfig config, DType type) {
    boolean kernel = info.name().endsWith(PaperTensors.RECURRENT_KERNEL);
    boolean bias = info.name().endsWith(BIAS);
    @Nullable SlstmBlockConfig block = config.blockStack().slstmBlock();
    if (block == null || !(kernel || bias)) {
      return null;
    }
    Backend wanted = block.slstm().backend();
    String kernelName =
        kernel
            ? info.name()
            : info.name().substring(0, info.name().length() - BIAS.length())
                + PaperTensors.RECURRENT_KERNEL;
    long[] shape = source.info(kernelName).shape(); // [NH, a, b]
    Backend stored = shape[1] == 4 * shape[2] ? Backend.VANILLA : Backend.CUDA;
    if (stored == wanted) {
      return null;
    }
    MemorySegment data = source.data(info.name());
    int bytes = info.dtype().bytes();
    long heads = shape[0];
    long headDim = Math.min(shape[1], shape[2]);
    if (kernel) {
      long[] turned = {heads, shape[2], shape[1]};
      var turnedInfo = new TensorInfo(info.name(), info.dtype(), turned, 0, info.byteSize());
      MemorySegment moved = transposed(data, heads, shape[1], shape[2], bytes);
      return new ConvertedTensor(info.name(), turnedInfo, List.of(moved), type);
    }
    long rows = stored == Backend.CUDA ? heads : 4; // (head, gate, unit) or (gate, head, unit)
    MemorySegment moved = transposed(data, 1, rows, 4 * heads / rows, headDim * bytes);
    return new ConvertedTensor(info.name(), info, List.of(moved), type);
  }

  /// Swaps the two middle axes of `(batch, rows, columns, cell)`.
  ///
  /// @param cellBytes bytes that stay together
  @SuppressWarnings("MustBeClosedChecker") // freed with the last reference to the segment
  private static MemorySegment transposed(
      MemorySegment data, long batch, long rows, long columns, long cellBytes) {
    MemorySegment moved = Arena.ofAuto().allocate(data.byteSize(), 8);
    for (long b = 0; b < batch; b++) {
      for (long row = 0; row < rows; row++) {
        for (long column = 0; column < columns; column++) {
          long from = ((b * rows + row) * columns + column) * cellBytes;
          long to = ((b * columns + column) * rows + row) * cellBytes;
          MemorySegment.copy(data, from, moved, to, cellBytes);
        }
      }
    }
    return moved;
  }
}
