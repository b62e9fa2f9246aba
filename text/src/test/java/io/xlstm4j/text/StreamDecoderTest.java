package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StreamDecoderTest {
  @Test
  void a_character_of_several_bytes_comes_whole() {
    try (var tokenizer = Tokenizers.builtIn("bytes")) {
      StreamDecoder decoder = tokenizer.streamDecoder();
      List<String> pieces = new ArrayList<>();
      for (int id : tokenizer.encode("aé北🙂")) {
        pieces.add(decoder.next(id));
      }
      assertThat(pieces).containsExactly("a", "", "é", "", "", "北", "", "", "", "🙂");
      assertThat(decoder.finish()).isEmpty();
    }
  }

  @Test
  void an_unfinished_character_ends_as_a_replacement() {
    try (var tokenizer = Tokenizers.builtIn("bytes")) {
      StreamDecoder decoder = tokenizer.streamDecoder();
      assertThat(decoder.next(0xF0) + decoder.next(0x9F) + decoder.next(0x99)).isEmpty();
      assertThat(decoder.finish()).isEqualTo("\uFFFD");
      assertThat(decoder.next('a')).as("as new").isEqualTo("a");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bytes", "gpt2"})
  void the_pieces_of_random_ids_join_to_what_decode_gives(String name) {
    var random = new Random(3);
    try (var tokenizer = Tokenizers.builtIn(name)) {
      for (int i = 0; i < 500; i++) {
        int[] ids = random.ints(random.nextInt(30), 0, tokenizer.vocabSize()).toArray();
        assertThat(stream(tokenizer, ids)).isEqualTo(tokenizer.decode(ids));
      }
    }
  }

  @Test
  void all_pairs_of_bytes_decode_as_in_python_and_rust() {
    // as bytes.decode("utf-8", "replace"): one replacement for each longest well-formed beginning
    try (var tokenizer = Tokenizers.builtIn("bytes")) {
      for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
          String text = tokenizer.decode(new int[] {first, second, 'x'});
          assertThat(text).endsWith("x");
          assertThat(text.length()).isBetween(2, 3);
          byte[] bytes = {(byte) first, (byte) second, 'x'};
          String jdk = new String(bytes, StandardCharsets.UTF_8);
          if (first == 0xED && second >= 0xA0 && second <= 0xBF) {
            assertThat(text).isEqualTo("\uFFFD\uFFFDx"); // a surrogate; the JDK says one
          } else {
            assertThat(text).isEqualTo(jdk);
          }
        }
      }
      assertThat(tokenizer.decode(new int[] {0xED, 0xA0, 0x80})).isEqualTo("\uFFFD\uFFFD\uFFFD");
      assertThat(tokenizer.decode(new int[] {0xF0, 0x9F, 0x99, 'a'})).isEqualTo("\uFFFDa");
      assertThat(tokenizer.decode(new int[] {0xF4, 0x90, 0x80, 0x80}))
          .isEqualTo("\uFFFD\uFFFD\uFFFD\uFFFD");
      assertThat(tokenizer.decode(new int[] {0xE0, 0x80, 0x80})).isEqualTo("\uFFFD\uFFFD\uFFFD");
    }
  }

  static String stream(Tokenizer tokenizer, int[] ids) {
    StreamDecoder decoder = tokenizer.streamDecoder();
    var text = new StringBuilder();
    for (int id : ids) {
      String piece = decoder.next(id);
      if (!piece.isEmpty()) {
        assertThat(Character.isHighSurrogate(piece.charAt(piece.length() - 1))).isFalse();
      }
      text.append(piece);
    }
    return text.append(decoder.finish()).toString();
  }
}
