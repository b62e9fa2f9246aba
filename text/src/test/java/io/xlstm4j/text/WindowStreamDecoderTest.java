package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Tokens that are pieces of characters, though none of them is written as a byte.
class WindowStreamDecoderTest {
  /// A decoder whose tokens are the bytes of UTF-8.
  private static WindowStreamDecoder decoder() {
    return new WindowStreamDecoder(WindowStreamDecoderTest::decode, _ -> false);
  }

  private static String decode(int[] ids) {
    byte[] bytes = new byte[ids.length];
    for (int i = 0; i < ids.length; i++) {
      bytes[i] = (byte) ids[i];
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  @ParameterizedTest
  @ValueSource(strings = {"é", "北京", "a🙂b", "né 👩‍👩‍👧", "é"})
  void half_a_character_is_never_shown(String text) {
    WindowStreamDecoder decoder = decoder();
    var pieces = new ArrayList<String>();
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      pieces.add(decoder.next(b & 0xFF));
    }
    pieces.add(decoder.finish());
    assertThat(pieces).noneMatch(piece -> piece.contains("\uFFFD"));
    assertThat(String.join("", pieces)).isEqualTo(text);
  }

  @Test
  void each_character_comes_with_its_last_token() {
    WindowStreamDecoder decoder = decoder();
    List<String> pieces = new ArrayList<>();
    for (byte b : "aé北".getBytes(StandardCharsets.UTF_8)) {
      pieces.add(decoder.next(b & 0xFF));
    }
    assertThat(pieces).containsExactly("a", "", "é", "", "", "北");
  }

  @Test
  void what_never_becomes_a_character_is_shown_in_the_end() {
    WindowStreamDecoder decoder = decoder();
    assertThat(decoder.next('a') + decoder.next(0xF0) + decoder.next(0x9F)).isEqualTo("a");
    assertThat(decoder.finish()).isEqualTo("\uFFFD");

    WindowStreamDecoder broken = decoder();
    var shown = new StringBuilder();
    int[] ids = IntStream.range(0, 200).map(_ -> 0x80).toArray();
    for (int id : ids) {
      shown.append(broken.next(id));
    }
    assertThat(shown.length()).as("does not wait for ever").isPositive();
    assertThat(shown + broken.finish()).isEqualTo(decode(ids));
  }
}
