package io.xlstm4j.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// The primary context of a device: what owns memory, streams and kernels there. Every call makes
/// it the calling thread's current context, so any thread may use it. Close what came from it
/// before it.
public final class CudaContext implements AutoCloseable {
  private final DriverLibrary driver;
  private final CudaDevice device;
  private final int handleOfDevice;
  private final MemorySegment handle;
  private boolean closed;

  CudaContext(DriverLibrary driver, CudaDevice device) {
    this.driver = driver;
    this.device = device;
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_LONG);
      driver.call("cuDeviceGet", out, device.ordinal());
      handleOfDevice = out.get(JAVA_INT, 0);
      driver.call("cuDevicePrimaryCtxRetain", out, handleOfDevice);
      handle = out.get(ADDRESS, 0);
    }
  }

  public CudaDevice device() {
    return device;
  }

  /// The driver, with this context as the thread's current one.
  DriverLibrary current() {
    if (closed) {
      throw new IllegalStateException("the context of device " + device.ordinal() + " is closed");
    }
    driver.setCurrent(handle);
    return driver;
  }

  /// Reserves memory of the device.
  ///
  /// @param bytes more than 0; the content is whatever was there
  /// @throws CudaException if there is not enough, `CUDA_ERROR_OUT_OF_MEMORY`
  public DeviceMemory allocate(long bytes) {
    return new DeviceMemory(this, bytes);
  }

  /// Creates a stream of its own, which does not wait for the default one.
  public CudaStream newStream() {
    return CudaStream.create(this);
  }

  /// Takes a stream of someone else, for example libtorch's; 0 is the default stream. It is not
  /// closed with the result.
  public CudaStream stream(long address) {
    return new CudaStream(this, MemorySegment.ofAddress(address), false);
  }

  public CudaEvent newEvent() {
    return new CudaEvent(this);
  }

  /// Loads kernels from machine code or from the driver's intermediate code, which it then
  /// compiles.
  ///
  /// @param name for error messages
  /// @throws CudaException if the driver cannot use the image on this device
  public CudaModule load(String name, byte[] image) {
    return new CudaModule(this, name, image);
  }

  /// Waits for all work of the context.
  ///
  /// @throws CudaException also for errors of kernels that were launched before
  public void synchronize() {
    current().call("cuCtxSynchronize");
  }

  /// Reads a handle that a function of the driver writes.
  MemorySegment create(String function, Object... more) {
    DriverLibrary current = current();
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      var arguments = new Object[more.length + 1];
      arguments[0] = out;
      System.arraycopy(more, 0, arguments, 1, more.length);
      current.call(function, arguments);
      return out.get(ADDRESS, 0);
    }
  }

  /// Reads a handle that a function of the driver writes to its second argument.
  MemorySegment createFrom(String function, MemorySegment from) {
    DriverLibrary current = current();
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      current.call(function, from, out);
      return out.get(ADDRESS, 0);
    }
  }

  MemorySegment loadImage(byte[] image) {
    try (var arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(image.length + 1L, 16); // intermediate code ends with 0
      MemorySegment.copy(image, 0, bytes, JAVA_BYTE, 0, image.length);
      return create("cuModuleLoadData", bytes);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      driver.call("cuDevicePrimaryCtxRelease_v2", handleOfDevice);
    }
  }
}
