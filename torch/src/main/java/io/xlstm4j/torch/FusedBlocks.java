package io.xlstm4j.torch;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.block.MlstmBlockKernel;
import io.xlstm4j.kernels.block.SlstmBlockKernel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// Whole blocks on our own kernels, one operation each: CPU, float32. The blocks' form of libtorch
/// operations is the reference implementation that they are checked against.
///
/// Parameters are leaves of the graph, so the backward pass adds to their gradients by itself.
final class FusedBlocks {
  private final Kernels kernels;

  FusedBlocks(Kernels kernels) {
    this.kernels = kernels;
  }

  /// The parts of a block.
  ///
  /// @param store owns the parameters
  /// @param parameters in the order of the kernel's record of weights
  /// @param up width of the feed-forward of an sLSTM block, 0 for none
  /// @param blockSize width of a block of the q, k and v projections of an mLSTM block
  record Parts(
      Parameters store,
      List<Tensor> parameters,
      int heads,
      int kernelSize,
      int up,
      int blockSize,
      boolean hasGroupNormWeight) {
    List<MemorySegment> memory() {
      return parameters.stream().map(TensorSegments::segment).toList();
    }
  }

  /// @param x `(B, S, D)`
  /// @param dropout what the branch is multiplied by, of the shape of `x`; null for one
  Block.Output mlstm(
      Parts block,
      Tensor x,
      MlstmBlock.State last,
      @Nullable Tensor dropout,
      SequenceLayout layout) {
    long inner = last.conv().size(2);
    int heads = block.heads;
    checkTail(last.conv(), x.size(0), block.kernelSize, innerWidth(block));
    last.cell().check(x.size(0), heads, inner / heads, inner / heads);
    var size =
        new MlstmBlockKernel.Size(
            (int) x.size(0),
            (int) x.size(1),
            (int) x.size(2),
            (int) inner,
            heads,
            block.kernelSize,
            block.blockSize,
            (float) Norms.EPS);
    var inputs = contiguous(x, last.conv(), last.cell().c(), last.cell().n());
    Tensor m = last.cell().m().detach().contiguous();
    var kept = new ArrayList<Tensor>(List.of(m));
    List<Tensor> outputs = likes(inputs);
    Tensor lastM = TensorSegments.floats(Ops.shape(m));
    var in =
        new MlstmBlockKernel.Inputs(
            TensorSegments.segment(inputs.get(0)),
            new MlstmBlockKernel.State(
                TensorSegments.segment(inputs.get(1)),
                new MlstmState(
                    TensorSegments.segment(inputs.get(2)),
                    TensorSegments.segment(inputs.get(3)),
                    TensorSegments.segment(m))),
            factor(dropout, kept),
            mask(layout.valid(), kept),
            mask(layout.starts(), kept));
    MlstmBlockKernel kernel = new MlstmBlockKernel(kernels);
    MemorySegment saved = bytes(kernel.savedBytes(size), kept);
    kernel.forward(
        size,
        mlstmWeights(block.memory()),
        in,
        saved,
        bytes(kernel.forwardScratchBytes(size), new ArrayList<>()),
        HandWrittenBackward.isOn(),
        TensorSegments.segment(outputs.get(0)),
        new MlstmBlockKernel.State(
            TensorSegments.segment(outputs.get(1)),
            new MlstmState(
                TensorSegments.segment(outputs.get(2)),
                TensorSegments.segment(outputs.get(3)),
                TensorSegments.segment(lastM))));
    long[][] shapes = shapes(inputs);
    HandWrittenBackward.tieWithParameters(
        inputs,
        outputs,
        kept,
        gradients -> mlstmBackward(block, size, in, saved, shapes, gradients));
    return new Block.Output(
        outputs.get(0),
        new MlstmBlock.State(
            outputs.get(1), new MlstmCell.State(outputs.get(2), outputs.get(3), lastM)));
  }

  private Tensor[] mlstmBackward(
      Parts block,
      MlstmBlockKernel.Size size,
      MlstmBlockKernel.Inputs in,
      MemorySegment saved,
      long[][] shapes,
      @Nullable Tensor[] gradients) {
    var parameters = new ParameterGradients(block.store, block.parameters);
    MlstmBlockKernel kernel = new MlstmBlockKernel(kernels);
    MemorySegment scratch =
        bytes(kernel.backwardScratchBytes(size, in.dropout() != null), new ArrayList<>());
    Tensor[] d = complete(gradients, shapes);
    Tensor[] dInputs = floats(shapes);
    kernel.backward(
        size,
        mlstmWeights(block.memory()),
        in,
        saved,
        scratch,
        TensorSegments.segment(d[0]),
        carries(gradients) ? mlstmState(d) : null,
        TensorSegments.segment(dInputs[0]),
        mlstmWeights(parameters.memory()),
        mlstmState(dInputs));
    parameters.add();
    return dInputs;
  }

  private static MlstmBlockKernel.StateGradient mlstmState(Tensor[] d) {
    return new MlstmBlockKernel.StateGradient(
        TensorSegments.segment(d[1]),
        new MlstmStateGradient(TensorSegments.segment(d[2]), TensorSegments.segment(d[3])));
  }

  private static MlstmBlockKernel.Weights mlstmWeights(List<MemorySegment> parameters) {
    Iterator<MemorySegment> p = parameters.iterator();
    return new MlstmBlockKernel.Weights(
        p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(),
        p.next(), p.next(), p.next(), p.next(), p.next());
  }

  /// @param x `(B, S, D)`
  /// @param cellDropout what the cell's output is multiplied by, of the shape of `x`; null for one
  /// @param dropout the same for the feed-forward's output
  Block.Output slstm(
      Parts block,
      Tensor x,
      SlstmBlock.State last,
      @Nullable Tensor cellDropout,
      @Nullable Tensor dropout,
      SequenceLayout layout) {
    var size =
        new SlstmBlockKernel.Size(
            (int) x.size(0),
            (int) x.size(1),
            (int) x.size(2),
            block.heads,
            block.kernelSize,
            block.up,
            (float) Norms.EPS);
    SlstmCell.State cell = last.cell();
    checkTail(last.conv(), x.size(0), block.kernelSize, x.size(2));
    cell.check(x.size(0), block.heads, x.size(2) / block.heads);
    var inputs = contiguous(x, last.conv(), cell.y(), cell.c(), cell.n(), cell.m());
    var kept = new ArrayList<Tensor>();
    List<Tensor> outputs = likes(inputs);
    var in =
        new SlstmBlockKernel.Inputs(
            TensorSegments.segment(inputs.get(0)),
            slstmState(inputs),
            factor(cellDropout, kept),
            factor(dropout, kept),
            mask(layout.valid(), kept),
            mask(layout.starts(), kept));
    SlstmBlockKernel kernel = new SlstmBlockKernel(kernels);
    MemorySegment saved = bytes(kernel.savedBytes(size), kept);
    kernel.forward(
        size,
        slstmWeights(block, block.memory()),
        in,
        saved,
        bytes(kernel.forwardScratchBytes(size), new ArrayList<>()),
        HandWrittenBackward.isOn(),
        TensorSegments.segment(outputs.get(0)),
        slstmState(outputs));
    long[][] shapes = shapes(inputs);
    HandWrittenBackward.tieWithParameters(
        inputs,
        outputs,
        kept,
        gradients -> slstmBackward(block, size, in, saved, shapes, gradients));
    return new Block.Output(
        outputs.get(0),
        new SlstmBlock.State(
            outputs.get(1),
            new SlstmCell.State(outputs.get(2), outputs.get(3), outputs.get(4), outputs.get(5))));
  }

  private Tensor[] slstmBackward(
      Parts block,
      SlstmBlockKernel.Size size,
      SlstmBlockKernel.Inputs in,
      MemorySegment saved,
      long[][] shapes,
      @Nullable Tensor[] gradients) {
    var parameters = new ParameterGradients(block.store, block.parameters);
    SlstmBlockKernel kernel = new SlstmBlockKernel(kernels);
    MemorySegment scratch =
        bytes(kernel.backwardScratchBytes(size, in.dropout() != null), new ArrayList<>());
    Tensor[] d = complete(gradients, shapes);
    Tensor[] dInputs = floats(shapes);
    kernel.backward(
        size,
        slstmWeights(block, block.memory()),
        in,
        saved,
        scratch,
        TensorSegments.segment(d[0]),
        carries(gradients)
            ? new SlstmBlockKernel.StateGradient(
                TensorSegments.segment(d[1]),
                new SlstmKernel.StateGradients(
                    TensorSegments.segment(d[2]),
                    TensorSegments.segment(d[3]),
                    TensorSegments.segment(d[4]),
                    TensorSegments.segment(d[5])))
            : null,
        TensorSegments.segment(dInputs[0]),
        slstmWeights(block, parameters.memory()),
        slstmState(List.of(dInputs)));
    parameters.add();
    return dInputs;
  }

  /// @param tensors x and then the state's parts
  private static SlstmBlockKernel.State slstmState(List<Tensor> tensors) {
    return new SlstmBlockKernel.State(
        TensorSegments.segment(tensors.get(1)),
        new SlstmKernel.State(
            TensorSegments.segment(tensors.get(2)),
            TensorSegments.segment(tensors.get(3)),
            TensorSegments.segment(tensors.get(4)),
            TensorSegments.segment(tensors.get(5))));
  }

  private static SlstmBlockKernel.Weights slstmWeights(
      Parts block, List<MemorySegment> parameters) {
    Iterator<MemorySegment> p = parameters.iterator();
    return new SlstmBlockKernel.Weights(
        p.next(),
        p.next(),
        p.next(),
        p.next(),
        p.next(),
        p.next(),
        p.next(),
        p.next(),
        p.next(),
        block.hasGroupNormWeight ? p.next() : null,
        block.up > 0 ? new SlstmBlockKernel.FeedForward(p.next(), p.next(), p.next()) : null);
  }

  /// I, of an mLSTM block.
  private static long innerWidth(Parts block) {
    return block.parameters.get(2).size(0); // of the convolution
  }

  private static void checkTail(Tensor tail, long batch, int kernelSize, long channels) {
    Ops.expectShape("state conv", tail, "(B, K-1, C)", batch, kernelSize - 1L, channels);
  }

  // ---- tensors and their memory ----------------------------------------------------------------

  private static List<Tensor> contiguous(Tensor... tensors) {
    return List.of(tensors).stream().map(Tensor::contiguous).toList();
  }

  private static List<Tensor> likes(List<Tensor> tensors) {
    return tensors.stream().map(x -> TensorSegments.floats(Ops.shape(x))).toList();
  }

  private static long[][] shapes(List<Tensor> tensors) {
    return tensors.stream().map(Ops::shape).toArray(long[][]::new);
  }

  private static Tensor[] floats(long[][] shapes) {
    Tensor[] tensors = new Tensor[shapes.length];
    for (int i = 0; i < tensors.length; i++) {
      tensors[i] = TensorSegments.floats(shapes[i]);
    }
    return tensors;
  }

  /// Returns whether something depends on the final state, which is every output but the first.
  private static boolean carries(@Nullable Tensor[] gradients) {
    return Arrays.stream(gradients).skip(1).anyMatch(Objects::nonNull);
  }

  /// Zeros for outputs that nothing depends on.
  private static Tensor[] complete(@Nullable Tensor[] gradients, long[][] shapes) {
    Tensor[] complete = new Tensor[gradients.length];
    for (int i = 0; i < complete.length; i++) {
      Tensor gradient = gradients[i];
      boolean read = i == 0 || carries(gradients);
      complete[i] =
          gradient == null && read
              ? TensorSegments.floats(shapes[i]).zero_()
              : gradient == null ? TensorSegments.floats(0) : gradient;
    }
    return complete;
  }

  private static @Nullable MemorySegment factor(@Nullable Tensor dropout, List<Tensor> kept) {
    if (dropout == null) {
      return null;
    }
    kept.add(dropout);
    return TensorSegments.segment(dropout);
  }

  private static @Nullable MemorySegment mask(@Nullable Tensor mask, List<Tensor> kept) {
    if (mask == null) {
      return null;
    }
    Tensor bytes = mask.contiguous();
    kept.add(bytes);
    return TensorSegments.mask(TensorSegments.address(bytes), bytes.numel());
  }

  private static MemorySegment bytes(long count, List<Tensor> kept) {
    Tensor tensor = TensorSegments.floats(Math.ceilDiv(count, Float.BYTES));
    kept.add(tensor);
    return TensorSegments.bytes(tensor, count);
  }
}
