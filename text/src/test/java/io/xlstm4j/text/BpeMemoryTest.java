package io.xlstm4j.text;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/// Training a vocabulary in a small heap: it works, or it is refused in one line.
class BpeMemoryTest {
  private static final int DOCUMENT = 1 << 20; // chars; what a long line is cut into

  /// Trains in a process of its own.
  static final class Program {
    private Program() {}

    public static void main(String[] arguments) {
      try (Stream<String> documents = text(arguments[0], Integer.parseInt(arguments[1]))) {
        System.out.println(new BpeTrainer(400).train(documents).size());
      } catch (InvalidTextException e) {
        System.out.println(e.getMessage());
      }
    }

    /// Megabytes of text, made as they are read.
    private static Stream<String> text(String kind, int megabytes) {
      var random = new Random(1);
      return IntStream.range(0, megabytes)
          .mapToObj(_ -> {
            var text = new StringBuilder(DOCUMENT);
            while (text.length() < DOCUMENT) {
              int word = random.nextInt(20_000);
              switch (kind) {
                case "words" -> text.append(Integer.toString(word, 36)).append(' ');
                case "line" -> text.append((char) ('a' + word % 26));
                default -> text.append(random.nextLong()).append(' ');
              }
            }
            return text.toString();
          });
    }
  }

  private static String run(String heap, String kind, int megabytes) throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx" + heap,
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                Program.class.getName(),
                kind,
                Integer.toString(megabytes))
            .redirectErrorStream(true)
            .start();
    String said = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as(said).isZero();
    return said;
  }

  @Test
  void much_text_of_few_words_needs_little() throws Exception {
    assertThat(run("24m", "words", 40)).isEqualTo("400");
  }

  @Test
  void a_long_line_is_learned_from_where_the_heap_has_room() throws Exception {
    assertThat(run("384m", "line", 12)).isEqualTo("400");
  }

  @Test
  void more_words_than_the_heap_has_room_for_are_refused_in_one_line() throws Exception {
    for (String kind : new String[] {"line", "numbers"}) {
      assertThat(run("48m", kind, 12))
          .startsWith("vocabulary: the distinct words of the text take more than the heap of ")
          .endsWith("JDK_JAVA_OPTIONS=-Xmx1g, or take the tokenizer bytes or gpt2")
          .hasLineCount(1);
    }
  }
}
