package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;

/// Gradient with respect to a state, contiguous float32. The stabilizer is detached: it has none.
///
/// @param c `(B, NH, DHQK, DHV)`
/// @param n `(B, NH, DHQK)`
public record MlstmStateGradient(MemorySegment c, MemorySegment n) {
  void check(String name, MlstmShape shape) {
    MlstmMath.expectFloats(name + " c", c, shape.floatsOfC());
    MlstmMath.expectFloats(name + " n", n, shape.floatsOfN());
  }
}
