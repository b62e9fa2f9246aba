package io.xlstm4j.cuda.driver;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// Kernels on a device.
public final class CudaModule implements AutoCloseable {
  private final CudaContext context;
  private final String name;
  private final MemorySegment handle;
  private boolean closed;

  CudaModule(CudaContext context, String name, byte[] image) {
    this.context = context;
    this.name = name;
    handle = context.loadImage(image);
  }

  /// Finds a kernel.
  ///
  /// @throws CudaException if there is none of that name, `CUDA_ERROR_NOT_FOUND`
  public CudaFunction function(String function) {
    if (closed) {
      throw new IllegalStateException("the kernels of " + name + " are unloaded");
    }
    try (var arena = Arena.ofConfined()) {
      return new CudaFunction(
          context,
          name + "." + function,
          context.create("cuModuleGetFunction", handle, arena.allocateFrom(function)));
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      context.current().call("cuModuleUnload", handle);
    }
  }
}
