package io.xlstm4j.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// A kernel that can be launched.
public final class CudaFunction {
  private static final int LOCAL_BYTES = 3;
  private static final int REGISTERS = 4;
  private static final int MAX_DYNAMIC_SHARED_BYTES = 8;
  private static final int LARGE_CLUSTERS_ALLOWED = 14;
  private static final int LARGEST_PORTABLE_CLUSTER = 8;

  private static final int CLUSTER_DIMENSION = 4;

  private static final long CONFIG_BYTES = 56;
  private static final long CONFIG_STREAM = 32;
  private static final long CONFIG_ATTRIBUTES = 40;
  private static final long CONFIG_ATTRIBUTE_COUNT = 48;
  private static final long ATTRIBUTE_BYTES = 72;
  private static final long ATTRIBUTE_VALUE = 8;

  private final CudaContext context;
  private final String name;
  private final MemorySegment handle;

  CudaFunction(CudaContext context, String name, MemorySegment handle) {
    this.context = context;
    this.name = name;
    this.handle = handle;
  }

  /// Registers of a thread.
  public int registers() {
    return attribute(REGISTERS);
  }

  /// Bytes of a thread that did not fit into registers.
  public int localBytes() {
    return attribute(LOCAL_BYTES);
  }

  private int attribute(int attribute) {
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      context.current().call("cuFuncGetAttribute", out, attribute, handle);
      return out.get(JAVA_INT, 0);
    }
  }

  /// Prepares the kernel for as much shared memory and as large clusters as `launch` has; once is
  /// enough.
  ///
  /// @throws CudaException if the device has not so much
  public void allow(Launch launch) {
    DriverLibrary driver = context.current();
    driver.call("cuFuncSetAttribute", handle, MAX_DYNAMIC_SHARED_BYTES, launch.sharedBytes());
    if (launch.clusterX() > LARGEST_PORTABLE_CLUSTER) {
      driver.call("cuFuncSetAttribute", handle, LARGE_CLUSTERS_ALLOWED, 1);
    }
  }

  /// How many clusters of `launch` the device can hold at once; 0 if it can hold none. Call
  /// [#allow] before.
  public int activeClusters(Launch launch) {
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      context
          .current()
          .call(
              "cuOccupancyMaxActiveClusters",
              out,
              handle,
              config(arena, launch, MemorySegment.NULL));
      return out.get(JAVA_INT, 0);
    }
  }

  /// Starts the kernel in the order of `stream`. Does not wait for it: errors of the kernel come
  /// with a later call.
  ///
  /// @param arguments for each parameter a [Long] (an address or a 64-bit number), an [Integer], or
  ///   a [MemorySegment] with the bytes of a structure
  /// @throws CudaException if the driver refuses
  public void launch(CudaStream stream, Launch launch, Object... arguments) {
    try (var arena = Arena.ofConfined()) {
      MemorySegment pointers = arena.allocate(ADDRESS, Math.max(1, arguments.length));
      for (int i = 0; i < arguments.length; i++) {
        MemorySegment argument =
            switch (arguments[i]) {
              case Long number -> arena.allocateFrom(JAVA_LONG, number);
              case Integer number -> arena.allocateFrom(JAVA_INT, number);
              case MemorySegment structure -> structure;
              default ->
                  throw new IllegalArgumentException(
                      name + ": argument " + i + " is a " + arguments[i].getClass().getName());
            };
        pointers.setAtIndex(ADDRESS, i, argument);
      }
      context.current().launch(name, config(arena, launch, stream.handle()), handle, pointers);
    }
  }

  /// The driver's `CUlaunchConfig`.
  private static MemorySegment config(Arena arena, Launch launch, MemorySegment stream) {
    MemorySegment config = arena.allocate(CONFIG_BYTES, 8);
    int[] numbers = {
      launch.gridX(),
      launch.gridY(),
      launch.gridZ(),
      launch.blockX(),
      launch.blockY(),
      1,
      launch.sharedBytes()
    };
    MemorySegment.copy(numbers, 0, config, JAVA_INT, 0, numbers.length);
    config.set(ADDRESS, CONFIG_STREAM, stream);
    if (launch.clusterX() > 1) {
      MemorySegment attribute = arena.allocate(ATTRIBUTE_BYTES, 8);
      attribute.set(JAVA_INT, 0, CLUSTER_DIMENSION);
      int[] cluster = {launch.clusterX(), 1, 1};
      MemorySegment.copy(cluster, 0, attribute, JAVA_INT, ATTRIBUTE_VALUE, cluster.length);
      config.set(ADDRESS, CONFIG_ATTRIBUTES, attribute);
      config.set(JAVA_INT, CONFIG_ATTRIBUTE_COUNT, 1);
    }
    return config;
  }
}
