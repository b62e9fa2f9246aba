package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.DeviceSpan;
import org.jspecify.annotations.Nullable;

/// The inputs of the cell. T is the plan's element type.
///
/// @param wx the part of the gates that comes from the input, T `(B, S, 4, NH, DH)`, gates in the
///   order i, f, z, o
/// @param r recurrent kernel, T `(NH, DHin, 4, DHout)`
/// @param bias float32 `(NH, 4, DH)`
/// @param initial the state before the first token; null for zeros
/// @param valid `(B, S)` bytes, 0 at padding: there the state stays and y is zero; null for none
/// @param starts `(B, S)` bytes, 1 where a document starts, from a fresh state; null for none
public record SlstmInputs(
    DeviceSpan wx,
    DeviceSpan r,
    DeviceSpan bias,
    @Nullable SlstmState initial,
    @Nullable DeviceSpan valid,
    @Nullable DeviceSpan starts) {
  void check(SlstmShape shape, ElementType type) {
    Spans.check("wx", wx, shape.gateValues() * type.bytes(), "(B, S, 4, NH, DH)");
    Spans.check("r", r, shape.kernelValues() * type.bytes(), "(NH, DH, 4, DH)");
    Spans.check("bias", bias, shape.biasValues() * Float.BYTES, "(NH, 4, DH)");
    if (initial != null) {
      initial.check("initial", shape);
    }
    Spans.check("valid", valid, shape.positions(), "(B, S)");
    Spans.check("starts", starts, shape.positions(), "(B, S)");
  }
}
