package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;

/// What the cell remembers, contiguous float32.
///
/// @param c memory `(B, NH, DHQK, DHV)`, holds k vᵀ and the factor exp(-m)
/// @param n normalizer `(B, NH, DHQK)`, with the same factor
/// @param m stabilizer `(B, NH)`, natural-log scale
public record MlstmState(MemorySegment c, MemorySegment n, MemorySegment m) {
  void check(String name, MlstmShape shape) {
    MlstmMath.expectFloats(name + " c", c, shape.floatsOfC());
    MlstmMath.expectFloats(name + " n", n, shape.floatsOfN());
    MlstmMath.expectFloats(name + " m", m, shape.pairs());
  }
}
