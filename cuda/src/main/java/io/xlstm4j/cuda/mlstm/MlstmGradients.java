package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.DeviceSpan;
import org.jspecify.annotations.Nullable;

/// Where the gradients go; whatever was there is overwritten. Zero at padding.
///
/// @param q T `(B, S, NH, DQK)`
/// @param k T `(B, S, NH, DQK)`
/// @param v T `(B, S, NH, DHV)`
/// @param igate float32 `(B, S, NH)`
/// @param fgate float32 `(B, S, NH)`
/// @param initial null if not wanted
public record MlstmGradients(
    DeviceSpan q,
    DeviceSpan k,
    DeviceSpan v,
    DeviceSpan igate,
    DeviceSpan fgate,
    @Nullable MlstmStateGradient initial) {
  void check(MlstmShape shape, ElementType type) {
    Spans.check("gradient of q", q, shape.qkValues() * type.bytes(), "(B, S, NH, DQK)");
    Spans.check("gradient of k", k, shape.qkValues() * type.bytes(), "(B, S, NH, DQK)");
    Spans.check("gradient of v", v, shape.vValues() * type.bytes(), "(B, S, NH, DHV)");
    Spans.check("gradient of igate", igate, shape.gateValues() * Float.BYTES, "(B, S, NH)");
    Spans.check("gradient of fgate", fgate, shape.gateValues() * Float.BYTES, "(B, S, NH)");
    if (initial != null) {
      initial.check("gradient of initial", shape);
    }
  }
}
