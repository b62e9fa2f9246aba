package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.DeviceSpan;

/// Gradient with respect to a state, float32. The stabilizer is a constant: it has none.
///
/// @param c `(B, NH, DQK, DHV)`
/// @param n `(B, NH, DQK)`
public record MlstmStateGradient(DeviceSpan c, DeviceSpan n) {
  void check(String name, MlstmShape shape) {
    Spans.check(name + ".c", c, shape.cValues() * Float.BYTES, "(B, NH, DQK, DHV)");
    Spans.check(name + ".n", n, shape.nValues() * Float.BYTES, "(B, NH, DQK)");
  }
}
