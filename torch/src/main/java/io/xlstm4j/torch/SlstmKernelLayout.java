package io.xlstm4j.torch;

import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import org.bytedeco.pytorch.Tensor;

/// The two layouts in which official checkpoints store the recurrent kernel and bias of an sLSTM
/// cell (docs/math.md 1.2). In memory it is always that of the CUDA backend: kernel `[NH, DHin, 4
/// DHout]`, bias flat in order (head, gate, unit).
///
/// A checkpoint does not say which it uses. The kernel's shape does, and the bias follows it.
final class SlstmKernelLayout {
  static final String KERNEL = "_recurrent_kernel_";
  static final String BIAS = "_bias_";

  private SlstmKernelLayout() {}

  /// Returns the layout of a stored kernel.
  static Backend of(long[] kernelShape) {
    return kernelShape.length == 3 && kernelShape[1] == 4 * kernelShape[2]
        ? Backend.VANILLA
        : Backend.CUDA;
  }

  static Tensor kernelFrom(Backend layout, Tensor stored) {
    return switch (layout) {
      case CUDA -> stored;
      case VANILLA -> stored.transpose(1, 2).contiguous(); // [NH, 4 DHout, DHin]
    };
  }

  static Tensor kernelTo(Backend layout, Tensor kernel) {
    return kernelFrom(layout, kernel); // its own inverse
  }

  static Tensor biasFrom(Backend layout, Tensor stored, long heads) {
    return switch (layout) {
      case CUDA -> stored;
      case VANILLA -> stored.view(4, heads, -1).transpose(0, 1).flatten(); // (gate, head, unit)
    };
  }

  static Tensor biasTo(Backend layout, Tensor bias, long heads) {
    return switch (layout) {
      case CUDA -> bias;
      case VANILLA -> bias.view(heads, 4, -1).transpose(0, 1).flatten();
    };
  }
}
