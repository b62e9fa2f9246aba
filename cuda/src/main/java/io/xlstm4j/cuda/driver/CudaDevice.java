package io.xlstm4j.cuda.driver;

/// A GPU as the driver describes it.
///
/// @param ordinal the driver's number, from 0
/// @param name for example `NVIDIA H200`
/// @param major compute capability before the point
/// @param minor compute capability after the point
/// @param memoryBytes all memory of the device
/// @param multiprocessors how many it has
/// @param sharedBytesPerBlock the most shared memory that a block may ask for
public record CudaDevice(
    int ordinal,
    String name,
    int major,
    int minor,
    long memoryBytes,
    int multiprocessors,
    int sharedBytesPerBlock) {

  /// Returns whether blocks of a cluster can reach each other's shared memory.
  public boolean hasClusters() {
    return major >= 9;
  }

  /// The compute capability as NVIDIA writes it, for example `9.0`.
  public String capability() {
    return major + "." + minor;
  }
}
