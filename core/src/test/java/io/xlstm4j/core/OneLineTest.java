package io.xlstm4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import org.junit.jupiter.api.Test;

class OneLineTest {
  @Test
  void control_characters_line_breaks_and_half_characters_are_escaped() {
    assertThat(OneLine.of("a\nb\tc\u2028d\u0085e\ud800f\u001b[31m"))
        .isEqualTo("a\\u000ab\\u0009c\\u2028d\\u0085e\\ud800f\\u001b[31m");
    assertThat(OneLine.of("é 𝄞 \\")).isEqualTo("é 𝄞 \\");
  }

  @Test
  void long_text_is_cut_and_says_so() {
    assertThat(OneLine.of("x".repeat(200))).hasSize(200).doesNotContain("…");
    assertThat(OneLine.of("x".repeat(201))).hasSize(201).endsWith("x…");
    assertThat(OneLine.of("\n".repeat(199))).hasSizeLessThan(210).endsWith("…");
  }

  @Test
  void a_reason_is_never_empty() {
    assertThat(OneLine.reason(new IOException())).isEqualTo("IOException");
    assertThat(OneLine.reason(new IOException("a\nb"))).isEqualTo("a\\u000ab");
    assertThat(OneLine.reason(new AccessDeniedException("x"))).isEqualTo("permission denied");
    assertThat(OneLine.reason(new FileSystemException("x", null, "Read-only file system")))
        .isEqualTo("Read-only file system");
  }
}
