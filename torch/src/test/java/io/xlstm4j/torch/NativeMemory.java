package io.xlstm4j.torch;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.invoke.MethodHandle;
import org.bytedeco.javacpp.Pointer;

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

  /// The same after the collector has found the hooks of ended backward passes, which it frees.
  static long settled() {
    return settled(Long.MAX_VALUE);
  }

  /// The same, waiting for at most that many handles to be left; gives up after some seconds, since
  /// a leaked handle never goes.
  static long settled(long handles) {
    for (int round = 0; round < 50; round++) {
      System.gc();
      int calm = 0;
      for (long last = Pointer.totalCount(); calm < 3; calm++) { // freed on a thread of JavaCPP's
        pause();
        if (Pointer.totalCount() < last) {
          last = Pointer.totalCount();
          calm = 0;
        }
      }
      if (Pointer.totalCount() <= handles) {
        break;
      }
    }
    long least = inUse();
    for (int sample = 0; sample < 100; sample++) { // Java's compilers borrow megabytes for a while
      pause();
      least = Math.min(least, inUse());
    }
    return least;
  }

  private static void pause() {
    try {
      Thread.sleep(5);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  static long inUse() {
    try (var arena = Arena.ofConfined()) {
      var info = (MemorySegment) MALLINFO2.invokeExact((SegmentAllocator) arena);
      return info.getAtIndex(JAVA_LONG, HBLKHD) + info.getAtIndex(JAVA_LONG, UORDBLKS);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
