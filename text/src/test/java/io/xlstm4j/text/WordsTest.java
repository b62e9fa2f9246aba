package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class WordsTest {
  static final Pattern PATTERN =
      Pattern.compile(
          "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
          Pattern.UNICODE_CHARACTER_CLASS);

  @Test
  void cuts_like_the_regular_expression_on_nasty_texts() {
    for (String text : Samples.NASTY) {
      assertThat(words(text)).as(text).isEqualTo(matches(text));
    }
  }

  @Test
  void cuts_like_the_regular_expression_on_random_texts() {
    var random = new Random(1);
    for (int i = 0; i < 2000; i++) {
      String text = Samples.random(random, random.nextInt(40));
      assertThat(words(text)).as(text).isEqualTo(matches(text));
    }
  }

  @Test
  void puts_every_character_into_the_class_of_the_regular_expression() {
    for (int codePoint = 0; codePoint <= Character.MAX_CODE_POINT; codePoint++) {
      if (codePoint < Character.MIN_SURROGATE || codePoint > Character.MAX_SURROGATE) {
        String text = "a" + Character.toString(codePoint) + "1";
        if (Words.end(text, 0) != firstMatch(text)) {
          assertThat(words(text)).as("U+%04X", codePoint).isEqualTo(matches(text));
        }
      }
    }
  }

  static List<String> words(String text) {
    List<String> words = new ArrayList<>();
    for (int start = 0; start < text.length(); ) {
      int end = Words.end(text, start);
      words.add(text.substring(start, end));
      start = end;
    }
    return words;
  }

  private static List<String> matches(String text) {
    List<String> words = new ArrayList<>();
    Matcher matcher = PATTERN.matcher(text);
    while (matcher.find()) {
      words.add(matcher.group());
    }
    return words;
  }

  private static int firstMatch(String text) {
    Matcher matcher = PATTERN.matcher(text);
    return matcher.find() ? matcher.end() : -1;
  }
}
