package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// [MlstmKernel] with the projections before it: queries, keys and values are headwise products
/// ([HeadwiseKernel]) of what is given in their place (docs/math.md 3.2), and so may never be in
/// memory.
public interface ProjectedMlstmKernel {
  /// Weights of the projections, or where their gradients go.
  ///
  /// @param blockSize P, width of a block; divides the heads' width all together
  /// @param q, k, v `(NH * DH / P, P, P)`
  record Projections(int blockSize, MemorySegment q, MemorySegment k, MemorySegment v) {
    public void check(String name, MlstmShape shape) {
      int blocks = blocks(shape);
      long floats = (long) blocks * blockSize * blockSize;
      SegmentFloats.check(name + " q", q, floats, "(NH * DH / P, P, P)");
      SegmentFloats.check(name + " k", k, floats, "(NH * DH / P, P, P)");
      SegmentFloats.check(name + " v", v, floats, "(NH * DH / P, P, P)");
    }

    private int blocks(MlstmShape shape) {
      int width = shape.heads() * shape.qkDim();
      if (shape.qkDim() != shape.vDim() || width % blockSize != 0) {
        throw new IllegalArgumentException(
            "qkDim (%d) and vDim (%d) must be equal, and blockSize (%d) divide %d heads of them"
                .formatted(shape.qkDim(), shape.vDim(), blockSize, shape.heads()));
      }
      return width / blockSize;
    }

    public HeadwiseShape headwise(MlstmShape shape) {
      return new HeadwiseShape(
          Math.multiplyExact(shape.batch(), shape.length()), blocks(shape), blockSize, blockSize);
    }
  }

  /// Bytes that [#forward] keeps for [#backward], 8-byte aligned. Only the same kernel reads them.
  long savedBytes(MlstmShape shape);

  /// Bytes that either direction works in.
  long scratchBytes(MlstmShape shape, int blockSize);

  /// As [MlstmKernel#forward].
  ///
  /// @param inputs with what q, k and v are projections of in their place, each `(B, S, NH, DH)`
  /// @param scratch [#scratchBytes] bytes
  void forward(
      MlstmShape shape,
      MlstmInputs inputs,
      Projections weights,
      MemorySegment scratch,
      @Nullable MlstmState initial,
      StridedMatrix h,
      MlstmState last,
      @Nullable MemorySegment saved);

  /// As [MlstmKernel#backward].
  ///
  /// @param scratch [#scratchBytes] bytes
  /// @param gradients of the inputs: those in the place of q and k are added to, and may be the
  ///   same memory; the others are written
  /// @param dWeights written
  void backward(
      MlstmShape shape,
      MlstmInputs inputs,
      Projections weights,
      MemorySegment scratch,
      StridedMatrix h,
      MemorySegment saved,
      StridedMatrix dH,
      @Nullable MlstmStateGradient dLast,
      MlstmGradients gradients,
      Projections dWeights,
      @Nullable MlstmStateGradient dInitial);
}
