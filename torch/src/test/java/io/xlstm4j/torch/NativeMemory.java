package io.xlstm4j.torch;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.invoke.MethodHandle;

/// Bytes that glibc's malloc has given out and not got back, by its own count: libtorch's tensors
/// and graph, to the byte, without the noise of the Java heap that the resident size has.
final class NativeMemory {
  private static final int HBLKHD = 4;
  private static final int UORDBLKS = 7;

  private static final MethodHandle MALLINFO2 =
      Linker.nativeLinker()
          .downcallHandle(
              Linker.nativeLinker().defaultLookup().findOrThrow("mallinfo2"),
              FunctionDescriptor.of(
                  MemoryLayout.structLayout(
                      MemoryLayout.sequenceLayout(10, JAVA_LONG).withName("fields"))));

  private NativeMemory() {}

  static long inUse() {
    try (var arena = Arena.ofConfined()) {
      var info = (MemorySegment) MALLINFO2.invokeExact((SegmentAllocator) arena);
      return info.getAtIndex(JAVA_LONG, HBLKHD) + info.getAtIndex(JAVA_LONG, UORDBLKS);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
