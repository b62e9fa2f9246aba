/// The mLSTM cell over a sequence in its chunkwise form, and the projections before it.
///
/// One token at a time is in `decode`, everything around the cell in `kernels.block`.
/// [VectorMlstmKernel] shares rows and heads among threads; `MlstmChunk` computes a chunk, forward
/// and backward. Begin with `MlstmChunk` beside the equations of docs/math.md.
@NullMarked
package io.xlstm4j.kernels.vector.mlstm;

import org.jspecify.annotations.NullMarked;
