package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.DeviceSpan;
import org.jspecify.annotations.Nullable;

/// The memory of the gradients; whatever was there is overwritten.
///
/// @param wx T `(B, S, 4, NH, DH)`, zero at padding
/// @param r float32 `(NH, DHin, 4, DHout)`
/// @param bias float32 `(NH, 4, DH)`
/// @param initial exact for all four parts; null if not wanted
public record SlstmGradients(
    DeviceSpan wx, DeviceSpan r, DeviceSpan bias, @Nullable SlstmState initial) {
  void check(SlstmShape shape, ElementType type) {
    Spans.check("gradient of wx", wx, shape.gateValues() * type.bytes(), "(B, S, 4, NH, DH)");
    Spans.check("gradient of r", r, shape.kernelValues() * Float.BYTES, "(NH, DH, 4, DH)");
    Spans.check("gradient of bias", bias, shape.biasValues() * Float.BYTES, "(NH, 4, DH)");
    if (initial != null) {
      initial.check("gradient of initial", shape);
    }
  }
}
