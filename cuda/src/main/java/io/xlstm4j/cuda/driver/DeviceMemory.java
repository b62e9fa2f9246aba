package io.xlstm4j.cuda.driver;

import java.lang.foreign.MemorySegment;

/// Memory of a device that this object owns. Work that uses it must have ended before [#close].
public final class DeviceMemory implements AutoCloseable {
  private final CudaContext context;
  private final DeviceSpan span;
  private boolean closed;

  DeviceMemory(CudaContext context, long bytes) {
    if (bytes < 1) {
      throw new IllegalArgumentException("bytes (%d) must be positive".formatted(bytes));
    }
    this.context = context;
    span = new DeviceSpan(context.create("cuMemAlloc_v2", bytes).address(), bytes);
  }

  /// Where it is.
  ///
  /// @throws IllegalStateException after [#close]
  public DeviceSpan span() {
    if (closed) {
      throw new IllegalStateException("the memory was freed");
    }
    return span;
  }

  /// Copies all of `from`, memory outside the heap, to the beginning, after the work of `stream`,
  /// and waits for it.
  public void write(CudaStream stream, MemorySegment from) {
    checkFits(from);
    context
        .current()
        .call("cuMemcpyHtoDAsync_v2", span().address(), from, from.byteSize(), stream.handle());
    stream.synchronize();
  }

  /// Copies the beginning to all of `to`, memory outside the heap, after the work of `stream`, and
  /// waits for it.
  public void read(CudaStream stream, MemorySegment to) {
    checkFits(to);
    context
        .current()
        .call("cuMemcpyDtoHAsync_v2", to, span().address(), to.byteSize(), stream.handle());
    stream.synchronize();
  }

  /// Sets every byte, in the order of `stream`.
  public void fill(CudaStream stream, byte value) {
    context
        .current()
        .call("cuMemsetD8Async", span().address(), value & 0xFF, span.bytes(), stream.handle());
  }

  private void checkFits(MemorySegment host) {
    if (!host.isNative() || host.byteSize() > span.bytes()) {
      throw new IllegalArgumentException(
          "host memory must lie outside the heap and have at most %d bytes; it has %d"
              .formatted(span.bytes(), host.byteSize()));
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      context.current().call("cuMemFree_v2", span.address());
    }
  }
}
