package io.xlstm4j.train.logging;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/// The machine that a run runs on.
///
/// @param host its name
/// @param system operating system and architecture
/// @param processor model name, empty where the system does not tell
/// @param processors how many this process may use
/// @param memoryMib of the machine, or of its container
/// @param java version and vendor
/// @param maxHeapMib what the Java heap may grow to
/// @param device what tensors are on, such as `cpu` or the name of a GPU
public record SystemInfo(
    String host,
    String system,
    String processor,
    int processors,
    long memoryMib,
    String java,
    long maxHeapMib,
    String device) {
  private static final long MIB = 1 << 20;

  /// Returns the description of this machine.
  public static SystemInfo here(String device) {
    long memory =
        ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
            ? system.getTotalMemorySize()
            : 0;
    return new SystemInfo(
        hostName(),
        "%s %s, %s"
            .formatted(
                System.getProperty("os.name"),
                System.getProperty("os.version"),
                System.getProperty("os.arch")),
        processorName(),
        Runtime.getRuntime().availableProcessors(),
        memory / MIB,
        "%s (%s)".formatted(System.getProperty("java.version"), System.getProperty("java.vendor")),
        Runtime.getRuntime().maxMemory() / MIB,
        device);
  }

  /// Returns the name of this machine.
  public static String hostName() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "localhost"; // a machine without a name
    }
  }

  private static String processorName() {
    try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse("");
    } catch (IOException e) {
      return ""; // not Linux
    }
  }
}
