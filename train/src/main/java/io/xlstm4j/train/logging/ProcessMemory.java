package io.xlstm4j.train.logging;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// Memory of this process at one moment.
///
/// @param residentMib as the system counts it, native memory included; NaN where it does not tell
/// @param heapMib used Java heap, garbage included
public record ProcessMemory(double residentMib, double heapMib) {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final String RESIDENT = "\nVmRSS:";
  private static final double KIB_PER_MIB = 1024;
  private static final double MIB = 1 << 20;

  /// Reads both; a file of the system is read for it, so not for every step of a fast run.
  public static ProcessMemory now() {
    Runtime heap = Runtime.getRuntime();
    return new ProcessMemory(resident(), (heap.totalMemory() - heap.freeMemory()) / MIB);
  }

  private static double resident() {
    try {
      String status = Files.readString(STATUS, StandardCharsets.ISO_8859_1);
      int at = status.indexOf(RESIDENT);
      if (at < 0) {
        return Double.NaN;
      }
      int start = at + RESIDENT.length();
      String kib = status.substring(start, status.indexOf("kB", start)).strip();
      return Long.parseLong(kib) / KIB_PER_MIB;
    } catch (IOException e) {
      return Double.NaN; // not Linux
    }
  }
}
