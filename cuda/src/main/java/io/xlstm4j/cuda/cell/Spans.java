package io.xlstm4j.cuda.cell;

import io.xlstm4j.cuda.driver.DeviceSpan;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Checks of memory before a kernel gets its address.
public final class Spans {
  private static final int ALIGNMENT = 16;

  private Spans() {}

  /// Checks that `span` has enough bytes and starts at a multiple of 16.
  ///
  /// @param span null passes
  /// @param shape for the message
  /// @throws IllegalArgumentException with the name and the sizes
  public static void check(String name, @Nullable DeviceSpan span, long bytes, String shape) {
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

  /// The address; 0 for null.
  public static long address(@Nullable DeviceSpan span) {
    return span == null ? 0 : span.address();
  }
}
