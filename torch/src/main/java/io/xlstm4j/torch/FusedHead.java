package io.xlstm4j.torch;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.block.HeadLossKernel;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// The head of a language model and its loss on our own kernels: CPU, float32. [Losses] over the
/// head's logits is the reference implementation. The logits are never all in memory; the gradients
/// are computed with the loss and wait for the backward pass.
final class FusedHead {
  private final Kernels kernels;

  FusedHead(Kernels kernels) {
    this.kernels = kernels;
  }

  /// @param hidden `(B, S, D)`
  /// @param weight the head `(V, D)`, a parameter of `store`
  /// @param targets `(B, S)` int64; negative ones are ignored
  /// @param cap bound of the logits, by tanh; 0 for none
  /// @param mean over the targets that are not ignored; else the sum
  /// @return one number
  Tensor crossEntropy(
      Parameters store, Tensor hidden, Tensor weight, Tensor targets, double cap, boolean mean) {
    Tensor h = hidden.contiguous();
    Tensor t = targets.contiguous();
    int rows = (int) t.numel();
    var size =
        new HeadLossKernel.Size(rows, (int) weight.size(1), (int) weight.size(0), (float) cap);
    double share = 1;
    if (mean) {
      share /= t.ge(Ops.number(0)).sum().item_double();
    }
    HeadLossKernel kernel = new HeadLossKernel(kernels);
    Tensor scratch = TensorSegments.floats(Math.ceilDiv(kernel.scratchBytes(size), Float.BYTES));
    MemorySegment in = TensorSegments.segment(h);
    MemorySegment w = TensorSegments.segment(weight);
    MemorySegment target = TensorSegments.bytes(t, (long) rows * Long.BYTES);
    MemorySegment work = TensorSegments.bytes(scratch, kernel.scratchBytes(size));
    Tensor loss = TensorSegments.floats(1);
    if (!HandWrittenBackward.isOn()) {
      loss.fill_(Ops.number(kernel.loss(size, in, w, target, work) * share));
      return loss.squeeze();
    }
    Tensor dHidden = TensorSegments.floats(Ops.shape(h));
    Tensor dWeight = TensorSegments.floats(Ops.shape(weight));
    MemorySegment dIn = TensorSegments.segment(dHidden);
    MemorySegment dW = TensorSegments.segment(dWeight);
    var gradients = new HeadLossKernel.Gradients(dIn, dW, (float) share);
    loss.fill_(Ops.number(kernel.lossAndGradients(size, in, w, target, work, gradients) * share));
    long[] shape = Ops.shape(h);
    HandWrittenBackward.tieWithParameters(
        List.of(h),
        List.of(loss),
        List.of(dHidden, dWeight),
        upstream -> {
          var head = new ParameterGradients(store, List.of(weight));
          Tensor dx = TensorSegments.floats(shape);
          TensorSegments.segment(dx).copyFrom(dIn);
          head.memory().getFirst().copyFrom(dW);
          head.times(Ops.present(upstream[0]));
          head.add();
          return new Tensor[] {dx.mul_(Ops.present(upstream[0]))};
        });
    return loss.squeeze();
  }
}
