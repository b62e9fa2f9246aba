package io.xlstm4j.cuda.driver;

import java.lang.foreign.MemorySegment;

/// A sequence of work on a device, done in order.
public final class CudaStream implements AutoCloseable {
  private static final int NON_BLOCKING = 1;
  private static final int CAPTURE_THREAD_LOCAL = 1;

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
        try {
          CudaGraph.discard(context, context.createFrom("cuStreamEndCapture", handle()));
        } catch (CudaException e) {
          // the capture had become invalid, and is over
        }
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
