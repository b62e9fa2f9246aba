package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;

/// The state of the cell, contiguous float32.
///
/// @param c memory `(B, NH, DHQK, DHV)`, holds k vᵀ and the factor exp(-m)
/// @param n normalizer `(B, NH, DHQK)`, with the same factor
/// @param m stabilizer `(B, NH)`, natural-log scale
public record MlstmState(MemorySegment c, MemorySegment n, MemorySegment m) {
  public void check(String name, MlstmShape shape) {
    SegmentFloats.expectFloats(name + " c", c, shape.floatsOfC());
    SegmentFloats.expectFloats(name + " n", n, shape.floatsOfN());
    SegmentFloats.expectFloats(name + " m", m, shape.pairs());
  }
}
