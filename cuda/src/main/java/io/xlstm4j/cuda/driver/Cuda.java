package io.xlstm4j.cuda.driver;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.xlstm4j.cuda.driver.DriverLibrary.UnavailableException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The entry to NVIDIA's driver: which devices there are, and a context on one.
public final class Cuda {
  private static final int MULTIPROCESSORS = 16;
  private static final int CAPABILITY_MAJOR = 75;
  private static final int CAPABILITY_MINOR = 76;
  private static final int SHARED_BYTES_PER_BLOCK = 97;

  private Cuda() {}

  /// The devices of this machine, or why there is none.
  ///
  /// @param devices in the driver's order
  /// @param reason why `devices` is empty; null if it is not
  public record Devices(List<CudaDevice> devices, @Nullable String reason) {
    public Devices {
      devices = List.copyOf(devices);
      if (devices.isEmpty() != (reason != null)) {
        throw new IllegalArgumentException("a reason belongs to no devices, and to nothing else");
      }
    }
  }

  /// Asks the driver for its devices. Never throws: a machine without a GPU or a driver has none,
  /// with the reason.
  public static Devices devices() {
    DriverLibrary driver;
    try {
      driver = DriverLibrary.get();
    } catch (UnavailableException e) {
      return new Devices(List.of(), e.reason());
    }
    try (var arena = Arena.ofConfined()) {
      MemorySegment number = arena.allocate(JAVA_INT);
      driver.call("cuDeviceGetCount", number);
      var devices = new ArrayList<CudaDevice>();
      for (int i = 0; i < number.get(JAVA_INT, 0); i++) {
        devices.add(describe(driver, i, arena));
      }
      return new Devices(
          devices, devices.isEmpty() ? "NVIDIA's driver is installed and finds no device" : null);
    } catch (CudaException e) {
      return new Devices(List.of(), "NVIDIA's driver gave an error: " + e.getMessage());
    }
  }

  private static CudaDevice describe(DriverLibrary driver, int ordinal, Arena arena) {
    MemorySegment out = arena.allocate(JAVA_LONG);
    driver.call("cuDeviceGet", out, ordinal);
    int device = out.get(JAVA_INT, 0);
    MemorySegment name = arena.allocate(256);
    driver.call("cuDeviceGetName", name, 256, device);
    driver.call("cuDeviceTotalMem_v2", out, device);
    long memory = out.get(JAVA_LONG, 0);
    return new CudaDevice(
        ordinal,
        name.getString(0),
        attribute(driver, CAPABILITY_MAJOR, device, out),
        attribute(driver, CAPABILITY_MINOR, device, out),
        memory,
        attribute(driver, MULTIPROCESSORS, device, out),
        attribute(driver, SHARED_BYTES_PER_BLOCK, device, out));
  }

  private static int attribute(DriverLibrary driver, int attribute, int device, MemorySegment out) {
    driver.call("cuDeviceGetAttribute", out, attribute, device);
    return out.get(JAVA_INT, 0);
  }

  /// The version of CUDA that the driver knows, for example 13000 for 13.0.
  ///
  /// @throws IllegalStateException with the reason, if there is no driver
  public static int driverVersion() {
    DriverLibrary driver = driver();
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      driver.call("cuDriverGetVersion", out);
      return out.get(JAVA_INT, 0);
    }
  }

  /// Opens the primary context of a device, the one that libtorch and CUDA's runtime use too.
  ///
  /// @throws IllegalStateException with the reason, if there is no driver
  /// @throws CudaException if the driver refuses
  public static CudaContext open(CudaDevice device) {
    return new CudaContext(driver(), device);
  }

  private static DriverLibrary driver() {
    try {
      return DriverLibrary.get();
    } catch (UnavailableException e) {
      throw new IllegalStateException(e.reason(), e);
    }
  }
}
