package io.xlstm4j.core;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/// Faults of JDKs that damage the arrays of this library, so that its results are wrong without an
/// error.
public final class JdkFaults {
  private static final int JDK = 25;

  /// The first update without JDK-8377811.
  private static final int SOUND_UPDATE = 3;

  private static final String COMPACT_HEADERS = "UseCompactObjectHeaders";
  private static final AtomicBoolean LOGGED = new AtomicBoolean();

  private JdkFaults() {}

  /// Returns what is wrong with a JVM, in one sentence that has the number of the fault and what to
  /// do.
  ///
  /// @param collectors names of the garbage collectors as the JVM gives them, such as `G1 Young
  ///   Generation`
  /// @param compactHeaders whether `-XX:+UseCompactObjectHeaders` is on
  /// @return empty if no fault is known
  public static Optional<String> find(
      Runtime.Version version, Collection<String> collectors, boolean compactHeaders) {
    if (version.feature() != JDK) {
      return Optional.empty();
    }
    if (compactHeaders) {
      return Optional.of(
          "JDK "
              + version.feature()
              + " with -XX:+UseCompactObjectHeaders damages arrays (JDK-8380060): results may be"
              + " wrong; start Java without that flag");
    }
    boolean early = version.interim() == 0 && version.update() < SOUND_UPDATE;
    if (early && collectors.stream().anyMatch(name -> name.startsWith("G1 "))) {
      return Optional.of(
          "JDK "
              + number(version)
              + " with the G1 collector damages arrays (JDK-8377811): results may be wrong; use JDK"
              + " 25.0.3 or newer, or start Java with -XX:+UseSerialGC or -XX:+UseParallelGC");
    }
    return Optional.empty();
  }

  private static String number(Runtime.Version version) {
    return "%d.%d.%d".formatted(version.feature(), version.interim(), version.update());
  }

  /// Returns what is wrong with the JVM that runs this.
  public static Optional<String> here() {
    Runtime.Version version = Runtime.version();
    boolean early = version.interim() == 0 && version.update() < SOUND_UPDATE;
    if (version.feature() != JDK || !(early || flagsMayMention(COMPACT_HEADERS))) {
      return Optional.empty(); // without the management classes, which take time to load
    }
    List<String> collectors =
        ManagementFactory.getGarbageCollectorMXBeans().stream()
            .map(GarbageCollectorMXBean::getName)
            .toList();
    return find(version, collectors, hasCompactHeaders());
  }

  /// Logs the fault of this JVM as a warning, once in a process.
  public static void logOnce() {
    if (LOGGED.compareAndSet(false, true)) {
      here()
          .ifPresent(
              fault -> System.getLogger("io.xlstm4j").log(System.Logger.Level.WARNING, fault));
    }
  }

  /// Says that the caller shows the fault itself: it is not logged then.
  public static void doNotLog() {
    LOGGED.set(true);
  }

  /// False only if the flag cannot have been given.
  private static boolean flagsMayMention(String flag) {
    for (String variable : List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")) {
      String options = System.getenv(variable);
      if (options != null && (options.contains(flag) || options.contains("Flags="))) {
        return true;
      }
    }
    try {
      String line = Files.readString(Path.of("/proc/self/cmdline"), StandardCharsets.ISO_8859_1);
      return line.contains(flag) || line.contains("Flags=") || line.contains("\0@");
    } catch (java.io.IOException e) {
      return true; // not Linux
    }
  }

  private static boolean hasCompactHeaders() {
    try {
      return Boolean.parseBoolean(
          ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class)
              .getVMOption(COMPACT_HEADERS)
              .getValue());
    } catch (RuntimeException e) {
      return false; // a JVM without that flag
    }
  }
}
