package io.xlstm4j.cuda.cell;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.DeviceMemory;
import io.xlstm4j.cuda.driver.DeviceSpan;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/// Java's arrays in a device's memory, freed together. Whatever a kernel is to write starts as NaN
/// in every type.
public final class GpuArrays implements AutoCloseable {
  private static final byte POISON = (byte) 0xFF;

  private final CudaContext context;
  private final CudaStream stream;
  private final List<DeviceMemory> owned = new ArrayList<>();

  public GpuArrays(CudaContext context, CudaStream stream) {
    this.context = context;
    this.stream = stream;
  }

  public DeviceMemory poisoned(long bytes) {
    var memory = context.allocate(Math.max(bytes, 16));
    owned.add(memory);
    memory.fill(stream, POISON);
    return memory;
  }

  public DeviceSpan of(double[] values, ElementType type) {
    var memory = poisoned((long) values.length * type.bytes());
    try (var arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate((long) values.length * type.bytes());
      for (int i = 0; i < values.length; i++) {
        if (type == ElementType.FLOAT32) {
          host.setAtIndex(JAVA_FLOAT, i, (float) values[i]);
        } else {
          host.setAtIndex(JAVA_SHORT, i, toBfloat16((float) values[i]));
        }
      }
      memory.write(stream, host);
    }
    return memory.span();
  }

  public DeviceSpan of(boolean[] values) {
    var memory = poisoned(values.length);
    try (var arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(values.length);
      for (int i = 0; i < values.length; i++) {
        host.setAtIndex(JAVA_BYTE, i, (byte) (values[i] ? 1 : 0));
      }
      memory.write(stream, host);
    }
    return memory.span();
  }

  public double[] read(DeviceMemory memory, int count, ElementType type) {
    var values = new double[count];
    try (var arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate((long) count * type.bytes());
      memory.read(stream, host);
      for (int i = 0; i < count; i++) {
        values[i] =
            type == ElementType.FLOAT32
                ? host.getAtIndex(JAVA_FLOAT, i)
                : Float.intBitsToFloat(host.getAtIndex(JAVA_SHORT, i) << 16);
      }
    }
    return values;
  }

  /// Rounds to the nearest, ties to even, as the device does.
  public static short toBfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    return (short) ((bits + 0x7FFF + (bits >>> 16 & 1)) >>> 16);
  }

  public static double rounded(double value, ElementType type) {
    return type == ElementType.FLOAT32
        ? (float) value
        : Float.intBitsToFloat(toBfloat16((float) value) << 16);
  }

  @Override
  public void close() {
    context.synchronize();
    owned.forEach(DeviceMemory::close);
  }
}
