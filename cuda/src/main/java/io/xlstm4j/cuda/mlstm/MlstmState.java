package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.DeviceSpan;

/// The state of the cell; all parts float32.
///
/// @param c memory `(B, NH, DQK, DHV)`, holds k vᵀ and the factor exp(-m)
/// @param n normalizer `(B, NH, DQK)`, with the same factor
/// @param m stabilizer `(B, NH)`, natural-log scale
public record MlstmState(DeviceSpan c, DeviceSpan n, DeviceSpan m) {
  void check(String name, MlstmShape shape) {
    Spans.check(name + ".c", c, shape.cValues() * Float.BYTES, "(B, NH, DQK, DHV)");
    Spans.check(name + ".n", n, shape.nValues() * Float.BYTES, "(B, NH, DQK)");
    Spans.check(name + ".m", m, shape.mValues() * Float.BYTES, "(B, NH)");
  }
}
