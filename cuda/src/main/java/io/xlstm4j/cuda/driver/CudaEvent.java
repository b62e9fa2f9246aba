package io.xlstm4j.cuda.driver;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// A point in a stream's work, for waiting and for measuring.
public final class CudaEvent implements AutoCloseable {
  private final CudaContext context;
  private final MemorySegment handle;
  private boolean closed;

  CudaEvent(CudaContext context) {
    this.context = context;
    handle = context.create("cuEventCreate", 0);
  }

  MemorySegment handle() {
    if (closed) {
      throw new IllegalStateException("the event is closed");
    }
    return handle;
  }

  /// Marks the point after all work that `stream` has been given.
  public void record(CudaStream stream) {
    context.current().call("cuEventRecord", handle(), stream.handle());
  }

  /// Waits until that point is reached.
  public void synchronize() {
    context.current().call("cuEventSynchronize", handle());
  }

  /// Milliseconds from another event to this one; both must have been reached.
  public double millisecondsSince(CudaEvent start) {
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_FLOAT);
      context.current().call("cuEventElapsedTime", out, start.handle(), handle());
      return out.get(JAVA_FLOAT, 0);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      context.current().call("cuEventDestroy_v2", handle);
    }
  }
}
