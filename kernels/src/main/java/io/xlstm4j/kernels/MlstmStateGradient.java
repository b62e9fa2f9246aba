package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;

/// Gradient with respect to a state, contiguous float32. The stabilizer is detached: it has none.
///
/// @param c `(B, NH, DHQK, DHV)`
/// @param n `(B, NH, DHQK)`
public record MlstmStateGradient(MemorySegment c, MemorySegment n) {
  public void check(String name, MlstmShape shape) {
    SegmentFloats.expectFloats(name + " c", c, shape.floatsOfC());
    SegmentFloats.expectFloats(name + " n", n, shape.floatsOfN());
  }
}
