package io.xlstm4j.cuda.driver;

import java.lang.foreign.MemorySegment;

/// Recorded work that is launched as one. It uses the memory that it was recorded with.
public final class CudaGraph implements AutoCloseable {
  private final CudaContext context;
  private final MemorySegment executable;
  private boolean closed;

  /// Takes over a recorded graph.
  CudaGraph(CudaContext context, MemorySegment graph) {
    this.context = context;
    try {
      executable = context.create("cuGraphInstantiateWithFlags", graph, 0L);
    } finally {
      discard(context, graph);
    }
  }

  static void discard(CudaContext context, MemorySegment graph) {
    if (graph.address() != 0) {
      context.current().call("cuGraphDestroy", graph);
    }
  }

  /// Does the recorded work, in the order of `stream`.
  public void launch(CudaStream stream) {
    if (closed) {
      throw new IllegalStateException("the graph is closed");
    }
    context.current().launchGraph(executable, stream.handle());
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      context.current().call("cuGraphExecDestroy", executable);
    }
  }
}
