package io.xlstm4j.kernels.block;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A whole recurrent layer with its norm, convolution, cell and feed-forward, as the README has
/// them: steps and sequences, forward and backward. Parameters come as a list, in the order that
/// the layer says.
///
/// A state is one memory, its parts one after the other, each with the batch as its first axis. All
/// memory is float32, contiguous. Results never depend on the number of threads.
public sealed interface LayerKernel permits SlstmLayerKernel, MlstmLayerKernel {
  /// Floats of each parameter, in order.
  long[] parameterFloats();

  /// Floats of the state of so many rows.
  long stateFloats(int batch);

  /// The inputs of a call besides the parameters.
  ///
  /// @param batch B
  /// @param length S
  /// @param x `(B, S, D)`
  /// @param initial the state before the first token; read, never written
  /// @param valid `(B, S)` bytes, 0 at padding; null for none
  /// @param starts `(B, S)` bytes, 1 where a document starts; null for none
  record Call(
      int batch,
      int length,
      MemorySegment x,
      MemorySegment initial,
      @Nullable MemorySegment valid,
      @Nullable MemorySegment starts) {
    public Call {
      if (batch < 1 || length < 1) {
        throw new IllegalArgumentException(
            "batch (%d) and length (%d) must be positive".formatted(batch, length));
      }
    }

    /// The same for a group, but for the initial state, whose parts lie apart.
    Call of(SequenceGroups.Group group) {
      return new Call(
          group.count(),
          length,
          group.of(x),
          initial,
          group.ofOptional(valid),
          group.ofOptional(starts));
    }
  }

  /// The matrices made ready for products, once for many calls; what they were made of is not
  /// needed again.
  sealed interface Ready permits SlstmLayerKernel.Matrices, MlstmLayerKernel.Matrices {}

  /// Bytes that [#ready] works in.
  long readyScratchBytes();

  /// Makes the matrices ready for [#forward].
  ///
  /// @param scratch [#readyScratchBytes] bytes
  Ready ready(List<MemorySegment> parameters, MemorySegment scratch);

  /// Bytes that [#forward] leaves for [#backward].
  long savedBytes(int batch, int length);

  /// Bytes that [#forward] works in.
  long forwardScratchBytes(int batch, int length);

  /// @param ready of [#ready] of the same parameters
  /// @param saved [#savedBytes] bytes; only read again if `keep`
  /// @param scratch [#forwardScratchBytes] bytes
  /// @param keep whether [#backward] will follow
  /// @param out `(B, S, D)`
  /// @param last the state after the last token; not the memory of the initial one
  void forward(
      Call call,
      List<MemorySegment> parameters,
      Ready ready,
      MemorySegment saved,
      MemorySegment scratch,
      boolean keep,
      MemorySegment out,
      MemorySegment last);

  /// Bytes that [#backward] works in.
  long backwardScratchBytes(int batch, int length);

  /// @param call as given to [#forward]
  /// @param saved what [#forward] wrote
  /// @param scratch [#backwardScratchBytes] bytes
  /// @param dOut gradient of out `(B, S, D)`
  /// @param dLast gradient of the final state; null for zero
  /// @param dx gradient of x `(B, S, D)`, written
  /// @param dParameters written
  /// @param dInitial gradient of the initial state, written; not the memory of `dLast`
  void backward(
      Call call,
      List<MemorySegment> parameters,
      MemorySegment saved,
      MemorySegment scratch,
      MemorySegment dOut,
      @Nullable MemorySegment dLast,
      MemorySegment dx,
      List<MemorySegment> dParameters,
      MemorySegment dInitial);
}
