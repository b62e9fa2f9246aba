package io.xlstm4j.torch;

import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.block.LargeBlockKernel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// A whole block of the Large family on its kernel, one operation: CPU, float32, no biases but the
/// gates'. The block's form of libtorch operations is the reference implementation that it is
/// checked against.
///
/// The kernel takes matrices of one input stacked; those that are stored apart are put together for
/// each call. Parameters are leaves of the graph, so the backward pass adds to their gradients by
/// itself.
final class FusedLargeBlock {
  private final Kernels kernels = FusedKernels.current().kernels();

  private final Parameters store;
  private final List<List<Tensor>> weights;
  private final LargeModelConfig config;

  /// @param store owns the parameters
  /// @param weights in the order of the kernel, each as the parameters whose rows it is made of
  FusedLargeBlock(Parameters store, List<List<Tensor>> weights, LargeModelConfig config) {
    this.store = store;
    this.weights = weights;
    this.config = config;
  }

  /// @param x `(B, S, D)`
  Block.Output forward(Tensor x, LargeBlock.State last, SequenceLayout layout) {
    var size =
        new LargeBlockKernel.Size(
            (int) x.size(0),
            (int) x.size(1),
            config.embeddingDim(),
            config.qkDim(),
            config.vDim(),
            config.numHeads(),
            config.ffnDim(),
            (float) config.gateSoftCap(),
            (float) config.normEps());
    MlstmCell.State cell = last.cell();
    cell.check(x.size(0), config.numHeads(), config.qkHeadDim(), config.vHeadDim());
    List<Tensor> inputs =
        List.of(layout.padded(x, 1).contiguous(), cell.c().contiguous(), cell.n().contiguous());
    Tensor m = cell.m().detach().contiguous();
    TensorSegments.Masks masks = TensorSegments.Masks.of(layout);
    long[] mask = masks.addresses();
    long positions = x.size(0) * x.size(1);
    var in =
        new LargeBlockKernel.Inputs(
            TensorSegments.segment(inputs.get(0)),
            new MlstmState(
                TensorSegments.segment(inputs.get(1)),
                TensorSegments.segment(inputs.get(2)),
                TensorSegments.segment(m)),
            TensorSegments.mask(mask[0], positions),
            TensorSegments.mask(mask[1], positions));
    List<Tensor> outputs =
        inputs.stream().map(input -> TensorSegments.floats(Ops.shape(input))).toList();
    Tensor lastM = TensorSegments.floats(Ops.shape(m));
    LargeBlockKernel kernel = new LargeBlockKernel(kernels);
    Tensor saved = bytes(kernel.savedBytes(size));
    MemorySegment keptMemory = TensorSegments.segment(saved);
    List<Tensor> stacked = stacked();
    kernel.forward(
        size,
        kernelWeights(stacked),
        in,
        keptMemory,
        TensorSegments.segment(bytes(kernel.forwardScratchBytes(size))),
        HandWrittenBackward.isOn(),
        TensorSegments.segment(outputs.get(0)),
        new MlstmState(
            TensorSegments.segment(outputs.get(1)),
            TensorSegments.segment(outputs.get(2)),
            TensorSegments.segment(lastM)));
    var kept = new ArrayList<>(masks.tensors());
    kept.add(m);
    kept.add(saved);
    long[][] shapes = inputs.stream().map(Ops::shape).toArray(long[][]::new);
    HandWrittenBackward.tieWithParameters(
        inputs, outputs, kept, gradients -> backward(size, in, keptMemory, shapes, gradients));
    return new Block.Output(
        outputs.get(0),
        new LargeBlock.State(new MlstmCell.State(outputs.get(1), outputs.get(2), lastM)));
  }

  private Tensor[] backward(
      LargeBlockKernel.Size size,
      LargeBlockKernel.Inputs in,
      MemorySegment saved,
      long[][] shapes,
      @Nullable Tensor[] gradients) {
    store.checkOpen();
    LargeBlockKernel kernel = new LargeBlockKernel(kernels);
    List<Tensor> stacked = stacked();
    List<Tensor> dStacked =
        stacked.stream().map(weight -> TensorSegments.floats(Ops.shape(weight))).toList();
    Tensor[] dInputs = new Tensor[shapes.length];
    for (int i = 0; i < dInputs.length; i++) {
      dInputs[i] = TensorSegments.floats(shapes[i]);
    }
    boolean carries = gradients[1] != null || gradients[2] != null;
    kernel.backward(
        size,
        kernelWeights(stacked),
        in,
        saved,
        TensorSegments.segment(bytes(kernel.backwardScratchBytes(size))),
        TensorSegments.segment(orZeros(gradients[0], shapes[0])),
        carries
            ? new MlstmStateGradient(
                TensorSegments.segment(orZeros(gradients[1], shapes[1])),
                TensorSegments.segment(orZeros(gradients[2], shapes[2])))
            : null,
        TensorSegments.segment(dInputs[0]),
        kernelWeights(dStacked),
        new MlstmStateGradient(
            TensorSegments.segment(dInputs[1]), TensorSegments.segment(dInputs[2])));
    addToParameters(dStacked);
    return dInputs;
  }

  private void addToParameters(List<Tensor> dStacked) {
    var parameters = new ArrayList<Tensor>();
    var parts = new ArrayList<Tensor>();
    for (int i = 0; i < weights.size(); i++) {
      long row = 0;
      for (Tensor part : weights.get(i)) {
        parameters.add(part);
        parts.add(dStacked.get(i).narrow(0, row, part.size(0)));
        row += part.size(0);
      }
    }
    new ParameterGradients(store, parameters, parts).add();
  }

  private static Tensor orZeros(@Nullable Tensor gradient, long[] shape) {
    return gradient == null ? TensorSegments.floats(shape).zero_() : gradient;
  }

  /// The weights as the kernel takes them, without a graph.
  private List<Tensor> stacked() {
    return weights.stream().map(FusedLargeBlock::stack).toList();
  }

  private static Tensor stack(List<Tensor> parts) {
    if (parts.size() == 1) {
      return parts.getFirst();
    }
    long[] shape = Ops.shape(parts.getFirst());
    shape[0] = parts.stream().mapToLong(part -> part.size(0)).sum();
    Tensor all = TensorSegments.floats(shape);
    MemorySegment to = TensorSegments.segment(all);
    long at = 0;
    for (Tensor part : parts) {
      MemorySegment from = TensorSegments.segment(part);
      MemorySegment.copy(from, 0, to, at, from.byteSize());
      at += from.byteSize();
    }
    return all;
  }

  private static LargeBlockKernel.Weights kernelWeights(List<Tensor> stacked) {
    Iterator<MemorySegment> w = stacked.stream().map(TensorSegments::segment).iterator();
    return new LargeBlockKernel.Weights(
        w.next(), w.next(), w.next(), w.next(), w.next(), w.next(), w.next(), w.next(), w.next());
  }

  private static Tensor bytes(long count) {
    return TensorSegments.floats(Math.ceilDiv(count, Float.BYTES));
  }
}
