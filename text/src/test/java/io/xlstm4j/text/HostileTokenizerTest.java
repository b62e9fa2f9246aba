package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Sizes and numbers in a `tokenizer.json` of a stranger decide nothing.
class HostileTokenizerTest {
  @TempDir private Path folder;

  private Path write(String json) throws IOException {
    return Files.writeString(folder.resolve("tokenizer.json"), json);
  }

  private static String message(Path file) {
    var refused = new StringBuilder();
    assertThatThrownBy(() -> Tokenizers.fromFile(file))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageStartingWith(file.toString())
        .satisfies(e -> refused.append(e.getMessage()));
    assertThat(refused.toString().lines()).hasSize(1);
    assertThat(refused.length()).isLessThan(folderAnd(600, file));
    return refused.toString();
  }

  private static int folderAnd(int more, Path file) {
    return file.toString().length() + more;
  }

  @ParameterizedTest
  @ValueSource(ints = {70_000, (1 << 24) - 1, 1 << 24, Integer.MAX_VALUE})
  void a_high_id_takes_no_memory(int id) throws IOException {
    Path file =
        write(
            "{\"added_tokens\": [{\"id\": %d, \"content\": \"</s>\", \"special\": true}], \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}"
                .formatted(id));
    var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    message(file); // classes are loaded
    long before = threads.getCurrentThreadAllocatedBytes();
    assertThat(message(file)).contains("token </s> has the id " + id, "there are only 2 tokens");
    assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(4 << 20);
  }

  @Test
  void a_million_arrays_within_each_other_are_one_line() throws IOException {
    assertThat(message(write("[".repeat(1_000_000)))).contains("not JSON", "nesting depth");
    assertThat(message(write("{\"model\": {\"vocab\": {}}, \"a\": " + "[".repeat(1_000_000))))
        .contains("not JSON", "nesting depth");
  }

  @Test
  void a_line_of_fifty_million_letters_is_one_line() throws IOException {
    assertThat(message(write("{\"model\": {\"vocab\": {\"" + "a".repeat(50_000_000) + "\": 1}}}")))
        .contains("not JSON");
    assertThat(message(write("{\"model\": \"" + "a".repeat(50_000_000) + "\"}")))
        .contains("not JSON");
  }

  @Test
  void a_long_word_is_not_shown_whole() throws IOException {
    String json = "{\"model\": {\"vocab\": {\"" + "w".repeat(10_000) + "\": -1}}}";
    assertThat(message(write(json))).contains("has the id -1");
  }

  @Test
  void a_file_beyond_any_vocabulary_is_refused_unread() throws IOException {
    Path file = folder.resolve("tokenizer.json");
    try (var sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(3L << 30);
    }
    assertThat(message(file)).contains("3,221,225,472 bytes are too many for a tokenizer");
  }
}
