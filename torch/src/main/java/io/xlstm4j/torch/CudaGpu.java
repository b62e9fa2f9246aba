package io.xlstm4j.torch;

import io.xlstm4j.cuda.driver.Cuda;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaException;
import io.xlstm4j.cuda.driver.CudaStream;
import java.util.HashMap;
import java.util.Map;
import org.bytedeco.pytorch.Device;

/// A GPU as libtorch and our kernels share it: the device's primary context, and the calling
/// thread's current stream. What runs there sees what was computed before on it, and memory that
/// libtorch's allocator gets back is given out again only for work behind it. Safe for many
/// threads.
final class CudaGpu {
  private static final Map<Integer, CudaGpu> OPENED = new HashMap<>();

  private final int ordinal;
  private final CudaContext context;
  private final CurrentStream current = new CurrentStream();
  private final CudaStream recording;

  private CudaGpu(int ordinal, CudaContext context) {
    this.ordinal = ordinal;
    this.context = context;
    recording = context.newStream();
  }

  /// Returns a device by its number.
  ///
  /// @throws IllegalStateException with the reason if the driver or libtorch cannot give it
  static CudaGpu open(int ordinal) {
    synchronized (OPENED) {
      return OPENED.computeIfAbsent(ordinal, CudaGpu::opened);
    }
  }

  private static CudaGpu opened(int ordinal) {
    Cuda.Devices found = Cuda.devices();
    if (ordinal >= found.devices().size()) {
      throw new IllegalStateException(
          found.reason() == null ? "the driver has no such device" : found.reason());
    }
    try {
      return new CudaGpu(ordinal, Cuda.open(found.devices().get(ordinal)));
    } catch (CudaException e) {
      throw new IllegalStateException(e.getMessage(), e);
    }
  }

  int ordinal() {
    return ordinal;
  }

  CudaContext context() {
    return context;
  }

  /// A new handle of the device; owned by the caller's scope.
  Device device() {
    return new Device("cuda:" + ordinal);
  }

  /// The stream on which work is recorded; libtorch keeps workspaces of its own for it, so there is
  /// one.
  CudaStream recordingStream() {
    return recording;
  }

  /// The calling thread's current stream of libtorch.
  CudaStream stream() {
    return context.stream(current.address(ordinal));
  }
}
