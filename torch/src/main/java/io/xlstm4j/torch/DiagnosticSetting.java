package io.xlstm4j.torch;

import io.xlstm4j.kernels.Kernels;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// The device, backend and precision of a [DiagnosticCase].
///
/// @param name for people
/// @param device such as `cpu` or `cuda:0`
/// @param type of parameters and inputs
/// @param kernels for [Backend#FUSED]
record DiagnosticSetting(
    String name, String device, ScalarType type, Backend backend, Kernels kernels) {
  /// Returns the setting that the others are compared with.
  static DiagnosticSetting reference() {
    return new DiagnosticSetting(
        "float64", "cpu", ScalarType.Double, Backend.LIBTORCH, Kernels.shared());
  }

  /// Every way that this process has to compute in float32.
  static List<DiagnosticSetting> all() {
    var all = new ArrayList<DiagnosticSetting>();
    Kernels shared = Kernels.shared();
    all.add(new DiagnosticSetting("libtorch", "cpu", ScalarType.Float, Backend.LIBTORCH, shared));
    if (shared.vectorized()) {
      all.add(new DiagnosticSetting("Vector API", "cpu", ScalarType.Float, Backend.FUSED, shared));
    }
    Kernels plain = Kernels.with(1, false);
    all.add(new DiagnosticSetting("plain loops", "cpu", ScalarType.Float, Backend.FUSED, plain));
    for (int gpu = 0; gpu < Torch.gpus(); gpu++) {
      String device = "cuda:" + gpu;
      all.add(new DiagnosticSetting(device, device, ScalarType.Float, Backend.FUSED, shared));
      all.add(
          new DiagnosticSetting(
              device + " libtorch", device, ScalarType.Float, Backend.LIBTORCH, shared));
    }
    return all;
  }

  /// Returns whether our own kernels compute.
  boolean isFused() {
    return backend == Backend.FUSED && device.equals("cpu");
  }

  /// Returns a difference that is rounding here, whatever a case allows: on GPUs our kernels give
  /// the matrix units each float32 operand as the sum of two bfloat16 values, which have 16 bits
  /// together.
  double rounding() {
    return backend == Backend.FUSED && !device.equals("cpu") ? 1e-3 : 0;
  }

  Parameters parameters() {
    return new Parameters(Torch.device(device), type);
  }

  /// Draws numbers in float32 on the CPU, the same in every setting.
  Tensor normal(double deviation, long... shape) {
    return Init.normal(deviation).create(shape).to(Torch.device(device), type);
  }

  /// The same as a leaf of a graph.
  Tensor leaf(double deviation, long... shape) {
    return asLeaf(normal(deviation, shape));
  }

  static Tensor asLeaf(Tensor x) {
    return new Tensor(x.detach().set_requires_grad(true));
  }
}
