package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.DeviceSpan;
import org.jspecify.annotations.Nullable;

/// The inputs of the cell. T is the plan's element type.
///
/// @param q T `(B, S, NH, DQK)`, not yet scaled
/// @param k T `(B, S, NH, DQK)`
/// @param v T `(B, S, NH, DHV)`
/// @param igate input gate before its activation, float32 `(B, S, NH)`
/// @param fgate forget gate before its activation, float32 `(B, S, NH)`
/// @param initial the state before the first token; null for zeros
/// @param valid `(B, S)` bytes, 0 at padding: there the state stays, h is zero, and nothing else is
///   read; null for none
/// @param starts `(B, S)` bytes, not 0 where a document starts, from a fresh state; null for none
public record MlstmInputs(
    DeviceSpan q,
    DeviceSpan k,
    DeviceSpan v,
    DeviceSpan igate,
    DeviceSpan fgate,
    @Nullable MlstmState initial,
    @Nullable DeviceSpan valid,
    @Nullable DeviceSpan starts) {
  void check(MlstmShape shape, ElementType type) {
    Spans.check("q", q, shape.qkValues() * type.bytes(), "(B, S, NH, DQK)");
    Spans.check("k", k, shape.qkValues() * type.bytes(), "(B, S, NH, DQK)");
    Spans.check("v", v, shape.vValues() * type.bytes(), "(B, S, NH, DHV)");
    Spans.check("igate", igate, shape.gateValues() * Float.BYTES, "(B, S, NH)");
    Spans.check("fgate", fgate, shape.gateValues() * Float.BYTES, "(B, S, NH)");
    if (initial != null) {
      initial.check("initial", shape);
    }
    Spans.check("valid", valid, shape.positions(), "(B, S)");
    Spans.check("starts", starts, shape.positions(), "(B, S)");
  }
}
