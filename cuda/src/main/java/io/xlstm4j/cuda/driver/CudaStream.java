package io.xlstm4j.cuda.driver;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// A sequence of work on a device, done in order.
public final class CudaStream implements AutoCloseable {
  private static final int NON_BLOCKING = 1;
  private static final int CAPTURE_THREAD_LOCAL = 1;
  private static final int CAPTURE_ACTIVE = 1;

  private final CudaContext context;
  private final MemorySegment handle;
  private final boolean owned;
  private boolean closed;

  CudaStream(CudaContext context, MemorySegment handle, boolean owned) {
    this.context = context;
    this.handle = handle;
    this.owned = owned;
  }

  static CudaStream create(CudaContext context) {
    return new CudaStream(context, context.create("cuStreamCreate", NON_BLOCKING), true);
  }

  MemorySegment handle() {
    if (closed) {
      throw new IllegalStateException("the stream is closed");
    }
    return handle;
  }

  CudaContext context() {
    return context;
  }

  /// Waits for all work that was given to the stream.
  ///
  /// @throws CudaException also for errors of that work
  public void synchronize() {
    context.current().call("cuStreamSynchronize", handle());
  }

  /// Lets later work of this stream wait for an event of any stream.
  public void waitFor(CudaEvent event) {
    context.current().call("cuStreamWaitEvent", handle(), event.handle(), 0);
  }

  /// The driver's handle, for other libraries; 0 is the default stream.
  public long address() {
    return handle().address();
  }

  /// Returns whether someone records the stream, and nothing has spoilt the recording yet.
  public boolean isRecorded() {
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      context.current().call("cuStreamIsCapturing", handle(), out);
      return out.get(JAVA_INT, 0) == CAPTURE_ACTIVE;
    }
  }

  /// Ends a recording that someone began on the stream, and throws away what was recorded.
  public void discardRecording() {
    try {
      CudaGraph.discard(context, context.createFrom("cuStreamEndCapture", handle()));
    } catch (CudaException e) {
      // the recording had become invalid, and is over
    }
  }

  /// Records what `work` launches on this stream instead of doing it.
  ///
  /// @throws CudaException if it does what cannot be recorded, for example waits
  public CudaGraph capture(Runnable work) {
    context.current().call("cuStreamBeginCapture_v2", handle(), CAPTURE_THREAD_LOCAL);
    boolean recorded = false;
    try {
      work.run();
      recorded = true;
    } finally {
      if (!recorded) { // leave the stream usable; what went wrong in `work` is what counts
        discardRecording();
      }
    }
    return new CudaGraph(context, context.createFrom("cuStreamEndCapture", handle()));
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      if (owned) {
        context.current().call("cuStreamDestroy_v2", handle);
      }
    }
  }
}
