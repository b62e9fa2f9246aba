package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.train.logging.SamplesFile.Sample;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SamplesFileTest {
  @TempDir private Path folder;

  @Test
  void texts_are_under_their_step_and_name_and_read_back() throws IOException {
    Path file = folder.resolve("samples.md");
    try (var samples = SamplesFile.open(file, 0)) {
      samples.text(0, "samples/0", SamplesFile.markdown("blue is", " a\ncolour"));
      samples.text(0, "samples/1", "second");
      samples.text(20, "samples/0", "later");
    }
    assertThat(Files.readString(file))
        .isEqualTo(
            """
            ## Step 0

            ### samples/0

            **blue is** a colour

            ### samples/1

            second

            ## Step 20

            ### samples/0

            later

            """);
    assertThat(SamplesFile.read(file))
        .containsExactly(
            new Sample(0, "samples/0", "**blue is** a colour"),
            new Sample(0, "samples/1", "second"),
            new Sample(20, "samples/0", "later"));
  }

  @Test
  void a_text_that_looks_like_a_heading_is_still_a_text() {
    Path file = folder.resolve("samples.md");
    String text = "## Step 1\n### name\n\\## Step 2\n## Step of another kind";
    try (var samples = SamplesFile.open(file, 0)) {
      samples.text(5, "samples/0", text);
    }
    assertThat(SamplesFile.read(file)).containsExactly(new Sample(5, "samples/0", text));
    SamplesFile.open(file, 5).close(); // nothing is past step 5
    assertThat(SamplesFile.read(file)).hasSize(1);
  }

  @Test
  void a_resumed_file_has_no_later_steps() throws IOException {
    Path file = folder.resolve("samples.md");
    try (var samples = SamplesFile.open(file, 0)) {
      samples.text(0, "samples/0", "漢字");
      samples.text(20, "samples/0", "漢字");
      samples.text(40, "samples/0", "gone");
    }
    try (var samples = SamplesFile.open(file, 20)) {
      samples.text(20, "samples/1", "same step");
      samples.text(40, "samples/0", "again");
    }
    assertThat(SamplesFile.read(file))
        .containsExactly(
            new Sample(0, "samples/0", "漢字"),
            new Sample(20, "samples/0", "漢字"),
            new Sample(20, "samples/1", "same step"),
            new Sample(40, "samples/0", "again"));
    assertThat(Files.readString(file).lines().filter(line -> line.startsWith("## "))).hasSize(3);
  }

  @Test
  void files_without_names_can_be_read() throws IOException {
    Path file = folder.resolve("samples.md");
    Files.writeString(file, "## Step 0\n\n> **a**b\n\n> **c**d\n\n");
    assertThat(SamplesFile.read(file)).containsExactly(new Sample(0, "", "> **a**b\n\n> **c**d"));
  }
}
