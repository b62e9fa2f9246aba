package io.xlstm4j.cuda.cell;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.xlstm4j.cuda.driver.DeviceSpan;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Fills a structure of a kernel: addresses first, then ints.
public final class KernelArguments {
  private final MemorySegment structure;
  private long at;

  public KernelArguments(Arena arena, int addresses, int ints) {
    structure = arena.allocate(8L * addresses + 4L * ints, 8);
  }

  public KernelArguments add(@Nullable DeviceSpan... spans) {
    for (@Nullable DeviceSpan span : spans) {
      structure.set(JAVA_LONG, at, Spans.address(span));
      at += 8;
    }
    return this;
  }

  public KernelArguments add(int... numbers) {
    for (int number : numbers) {
      structure.set(JAVA_INT, at, number);
      at += 4;
    }
    return this;
  }

  /// The structure, all fields of which were added.
  public MemorySegment done() {
    if (at != structure.byteSize()) {
      throw new IllegalStateException(
          "%d of %d bytes were filled".formatted(at, structure.byteSize()));
    }
    return structure;
  }
}
