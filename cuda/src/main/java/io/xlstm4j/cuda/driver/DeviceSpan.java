package io.xlstm4j.cuda.driver;

/// A piece of a device's memory that someone else owns.
///
/// @param address in the device's address space
/// @param bytes its length
public record DeviceSpan(long address, long bytes) {
  public DeviceSpan {
    if (address == 0 || bytes < 1) {
      throw new IllegalArgumentException(
          "no memory: address %d, %d bytes".formatted(address, bytes));
    }
  }

  /// A part of it.
  ///
  /// @throws IndexOutOfBoundsException if it does not lie within
  public DeviceSpan slice(long offset, long length) {
    if (offset < 0 || length < 1 || offset > bytes - length) {
      throw new IndexOutOfBoundsException(
          "%d bytes from %d on do not lie within %d bytes".formatted(length, offset, bytes));
    }
    return new DeviceSpan(address + offset, length);
  }
}
