/// Functions on vectors, loads and stores, and loops that the JIT compiles one by one.
///
/// `exp`, `log`, `tanh` and the like within a few units in the last place, and vectors of floats in
/// arrays, segments and native memory. No kernels. Every package of `vector` calls it. Begin with
/// [VectorMath] and [SegmentVectors]; [ArrayLoops] says why loops are compiled apart.
@NullMarked
package io.xlstm4j.kernels.vector.math;

import org.jspecify.annotations.NullMarked;
