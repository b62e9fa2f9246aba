/// Inference, forward only: products with stored weights, rows and tokens, and the warm-up.
///
/// Weights are read where they lie, in any type, and never packed; nothing here has a backward
/// pass. `runtime` calls it through `DecodeKernels`. The classes named `Lane…` give the bits of the
/// vectors in plain Java until the JIT has compiled those. Begin with [VectorStoredLinearKernel]
/// and [VectorDecodeKernels].
@NullMarked
package io.xlstm4j.kernels.vector.decode;

import org.jspecify.annotations.NullMarked;
