package io.xlstm4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/// The most memory that this process has held.
final class PeakMemory {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final String LINE = "VmHWM:";

  private PeakMemory() {}

  /// The largest resident set so far in MiB: Java's heap, libtorch's tensors, code, all together.
  /// Empty where the system does not tell (only Linux does).
  static OptionalLong residentMiB() {
    if (!Files.isReadable(STATUS)) {
      return OptionalLong.empty();
    }
    try (var lines = Files.lines(STATUS)) {
      return lines
          .filter(line -> line.startsWith(LINE))
          .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) >> 10) // kB
          .findFirst();
    } catch (IOException e) {
      return OptionalLong.empty();
    }
  }
}
