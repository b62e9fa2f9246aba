package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.DeviceSpan;
import org.jspecify.annotations.Nullable;

/// The state of the cell, or gradients of it; all parts float32 `(B, NH, DH)`.
///
/// @param y the last output, fed back through R
/// @param c cell, with the factor exp(-m)
/// @param n normalizer, with the same factor; zero marks a unit that has seen nothing, and c must
///   be zero there
/// @param m stabilizer, natural-log scale
public record SlstmState(DeviceSpan y, DeviceSpan c, DeviceSpan n, DeviceSpan m) {
  /// All parts in order; four times null for none.
  static @Nullable DeviceSpan[] spans(@Nullable SlstmState state) {
    return state == null
        ? new @Nullable DeviceSpan[4]
        : new DeviceSpan[] {state.y, state.c, state.n, state.m};
  }

  void check(String name, SlstmShape shape) {
    long bytes = shape.stateValues() * Float.BYTES;
    Spans.check(name + ".y", y, bytes, "(B, NH, DH)");
    Spans.check(name + ".c", c, bytes, "(B, NH, DH)");
    Spans.check(name + ".n", n, bytes, "(B, NH, DH)");
    Spans.check(name + ".m", m, bytes, "(B, NH, DH)");
  }
}
