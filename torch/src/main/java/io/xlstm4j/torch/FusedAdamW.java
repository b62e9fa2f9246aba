package io.xlstm4j.torch;

import io.xlstm4j.kernels.AdamWKernel;
import io.xlstm4j.kernels.Kernels;
import org.bytedeco.pytorch.Tensor;

/// Adam's arithmetic on our own kernel, one pass over memory for each parameter: CPU, float32,
/// contiguous.
final class FusedAdamW {
  private FusedAdamW() {}

  /// Returns whether the kernel can take a parameter.
  static boolean takes(Tensor parameter) {
    return FusedCells.takes(parameter) && parameter.is_contiguous();
  }

  /// Sum of squares of a gradient, in float64.
  static double sumOfSquares(Tensor gradient) {
    return Kernels.shared().adamW().sumOfSquares(TensorSegments.segment(gradient.contiguous()));
  }

  /// Numbers of one step.
  ///
  /// @param gradientScale what the gradients are multiplied by first, for clipping
  /// @param decay what a parameter is multiplied by first: 1 - rate x weight decay
  /// @param rate learning rate over the first moment's bias correction
  /// @param squareCorrection square root of the second moment's bias correction
  record Step(
      double gradientScale,
      double decay,
      double rate,
      double beta1,
      double beta2,
      double squareCorrection,
      double epsilon) {
    private AdamWKernel.Step inFloats() {
      return new AdamWKernel.Step(
          (float) gradientScale,
          (float) decay,
          (float) rate,
          (float) beta1,
          (float) beta2,
          (float) squareCorrection,
          (float) epsilon);
    }
  }

  /// Updates one parameter.
  ///
  /// @param gradient read only
  /// @param mean first moment, updated too
  /// @param square second moment, updated too
  static void update(Step step, Tensor parameter, Tensor gradient, Tensor mean, Tensor square) {
    update(Kernels.shared(), step, parameter, gradient, mean, square);
  }

  static void update(
      Kernels kernels, Step step, Tensor parameter, Tensor gradient, Tensor mean, Tensor square) {
    parameter.unsafeGetTensorImpl().bump_version(); // as any change of libtorch's own does
    kernels
        .adamW()
        .update(
            step.inFloats(),
            TensorSegments.segment(parameter),
            TensorSegments.segment(gradient.contiguous()),
            TensorSegments.segment(mean),
            TensorSegments.segment(square));
  }
}
