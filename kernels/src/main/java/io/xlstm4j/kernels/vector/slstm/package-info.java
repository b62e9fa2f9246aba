/// The sLSTM cell over a sequence, whose steps follow each other.
///
/// One token at a time is in `decode`, everything around the cell in `kernels.block`.
/// [VectorSlstmKernel] shares heads and rows among threads; `SlstmForwardTask`, `SlstmBackwardTask`
/// and `SlstmSumTask` are its three passes. Begin with `SlstmForwardTask`.
@NullMarked
package io.xlstm4j.kernels.vector.slstm;

import org.jspecify.annotations.NullMarked;
