package io.xlstm4j.torch;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.invoke.MethodHandle;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.regex.Pattern;
import javax.management.JMException;
import javax.management.ObjectName;
import org.bytedeco.javacpp.Pointer;

/// Bytes that glibc's malloc has given out and not got back, by its own count, less what the
/// virtual machine (its compilers borrow megabytes) took of them: libtorch's tensors and graph,
/// without the noise of the resident size.
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
    return inUse();
  }

  private static void pause() {
    try {
      Thread.sleep(5);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  static long inUse() {
    long[] samples = new long[15];
    for (int i = 0; i < samples.length; i++) { // the two counts are not read at one moment
      samples[i] = malloc() - virtualMachine();
    }
    Arrays.sort(samples);
    return samples[samples.length / 2];
  }

  private static long malloc() {
    try (var arena = Arena.ofConfined()) {
      var info = (MemorySegment) MALLINFO2.invokeExact((SegmentAllocator) arena);
      return info.getAtIndex(JAVA_LONG, HBLKHD) + info.getAtIndex(JAVA_LONG, UORDBLKS);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /// Returns the part of malloc's memory that the virtual machine itself holds, by its native
  /// memory tracking.
  private static long virtualMachine() {
    try {
      String summary =
          (String)
              ManagementFactory.getPlatformMBeanServer()
                  .invoke(
                      new ObjectName("com.sun.management:type=DiagnosticCommand"),
                      "vmNativeMemory",
                      new Object[] {new String[] {"summary", "scale=B"}},
                      new String[] {String[].class.getName()});
      var total = Pattern.compile("Total:.*\\s+malloc: (\\d+)").matcher(summary);
      assertThat(total.find()).as("-XX:NativeMemoryTracking=summary is on: " + summary).isTrue();
      return Long.parseLong(total.group(1));
    } catch (JMException e) {
      throw new AssertionError(e);
    }
  }
}
