package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

/// The runtime runs without native libraries, so none may be on its class path, not even for tests.
class ClassPathTest {
  @Test
  void no_native_library_is_on_the_class_path() {
    assertThatThrownBy(() -> Class.forName("org.bytedeco.javacpp.Loader"))
        .isInstanceOf(ClassNotFoundException.class);
    assertThat(System.getProperty("java.class.path").split(java.io.File.pathSeparator))
        .isNotEmpty()
        .noneMatch(entry -> entry.contains("bytedeco") || entry.contains("pytorch"));
  }
}
