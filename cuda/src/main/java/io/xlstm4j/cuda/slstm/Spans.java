package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.driver.DeviceSpan;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Checks of memory before a kernel gets its address.
final class Spans {
  private static final int ALIGNMENT = 16;

  private Spans() {}

  static void check(String name, @Nullable DeviceSpan span, long bytes, String shape) {
    if (span == null) {
      return;
    }
    if (span.bytes() < bytes) {
      throw new IllegalArgumentException(
          String.format(
              Locale.ROOT, "%s %s needs %,d bytes, but has %,d", name, shape, bytes, span.bytes()));
    }
    if (span.address() % ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          "%s must start at a multiple of %d bytes, but its address is 0x%x"
              .formatted(name, ALIGNMENT, span.address()));
    }
  }

  static long address(@Nullable DeviceSpan span) {
    return span == null ? 0 : span.address();
  }
}
