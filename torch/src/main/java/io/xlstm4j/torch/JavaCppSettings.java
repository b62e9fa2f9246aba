package io.xlstm4j.torch;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The system properties that JavaCPP reads when its classes are first used.
///
/// The properties are set for that moment only, and only those that the caller has not set; after
/// it the system properties are as they were. If the program used JavaCPP before, nothing changes.
final class JavaCppSettings {
  private static final String PREFIX = "org.bytedeco.javacpp.";
  private static final String SLF4J = "org/slf4j/LoggerFactory.class";
  private static final String PROVIDER = "META-INF/services/org.slf4j.spi.SLF4JServiceProvider";

  private JavaCppSettings() {}

  static void apply() {
    var properties = new LinkedHashMap<String, String>();
    // Else JavaCPP asks the system for this process's size at every new handle, which doubles the
    // time of small operations, and refuses more than twice the Java heap, which models need.
    properties.put(PREFIX + "maxPhysicalBytes", "0");
    if (isOnClassPath(SLF4J)) {
      // Else JavaCPP prints that the newest published openblas is one version older.
      properties.put(PREFIX + "logger", "slf4j");
      if (!isOnClassPath(PROVIDER)) { // else SLF4J prints that nobody receives its messages
        properties.put("slf4j.internal.verbosity", "ERROR");
      }
    }
    with(
        properties,
        () -> {
          initialize(PREFIX + "Loader");
          initialize(PREFIX + "Pointer");
        });
  }

  private static void initialize(String type) {
    try {
      Class.forName(type, true, JavaCppSettings.class.getClassLoader());
    } catch (ClassNotFoundException e) {
      throw new IllegalStateException("JavaCPP is not on the class path", e);
    }
  }

  private static boolean isOnClassPath(String resource) {
    @Nullable ClassLoader loader = JavaCppSettings.class.getClassLoader();
    return loader != null && loader.getResource(resource) != null;
  }

  /// Runs `body` with properties that are not set yet, and takes them away again.
  static void with(Map<String, String> properties, Runnable body) {
    var added = new LinkedHashMap<String, String>();
    properties.forEach((key, value) -> {
      if (System.getProperty(key) == null) {
        System.setProperty(key, value);
        added.put(key, value);
      }
    });
    try {
      body.run();
    } finally {
      added.keySet().forEach(System::clearProperty);
    }
  }
}
