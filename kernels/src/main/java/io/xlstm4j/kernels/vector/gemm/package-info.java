/// Matrix products of training: packed panels, tiles of registers, transposition.
///
/// All in float32, each sum in the order of the inner index. Products with weights as a file stores
/// them are in `decode`. [VectorLinearKernel] is what a dense projection calls, `mlstm` takes
/// [VectorGemmKernel] for its chunks. Begin with [PackedGemm].
@NullMarked
package io.xlstm4j.kernels.vector.gemm;

import org.jspecify.annotations.NullMarked;
