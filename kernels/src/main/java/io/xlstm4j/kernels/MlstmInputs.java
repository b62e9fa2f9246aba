package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/// The inputs of the cell at every position.
///
/// @param q `(B, S, NH, DHQK)`, not yet scaled
/// @param k `(B, S, NH, DHQK)`
/// @param v `(B, S, NH, DHV)`
/// @param igate input gate before its activation `(B, S, NH)`
/// @param fgate forget gate before its activation `(B, S, NH)`
/// @param valid `(B, S)` bytes, 0 at padding: it leaves the state as it was, its h is 0 and its
///   gradients are 0; null if every position is a token
/// @param starts `(B, S)` bytes, not 0 at the first token of a document, before which the state is
///   that of a fresh row; null for none
public record MlstmInputs(
    StridedMatrix q,
    StridedMatrix k,
    StridedMatrix v,
    StridedMatrix igate,
    StridedMatrix fgate,
    @Nullable MemorySegment valid,
    @Nullable MemorySegment starts) {
  public void check(MlstmShape shape) {
    shape.check("q", q, shape.qkDim());
    shape.check("k", k, shape.qkDim());
    shape.check("v", v, shape.vDim());
    shape.check("igate", igate, 1);
    shape.check("fgate", fgate, 1);
    long positions = (long) shape.batch() * shape.length();
    SegmentFloats.expectBytes("valid", valid, positions);
    SegmentFloats.expectBytes("starts", starts, positions);
  }

  public boolean isToken(MlstmShape shape, int row, int position) {
    return valid == null
        || valid.get(ValueLayout.JAVA_BYTE, (long) row * shape.length() + position) != 0;
  }

  /// A document starts here; padding starts none.
  public boolean isStart(MlstmShape shape, int row, int position) {
    return starts != null
        && starts.get(ValueLayout.JAVA_BYTE, (long) row * shape.length() + position) != 0
        && isToken(shape, row, position);
  }
}
