package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StopTextTest {
  /// All but the last character of a stop string are held back, also if it is alone in the list.
  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"ab", "abc", "aab", "abab", "\n\n", "<|end|>"})
  void nothing_of_a_stop_string_is_shown_however_it_is_cut(String stop) {
    String text = "x" + stop + "y";
    for (int cut = 1; cut < text.length() - 1; cut++) {
      var stops = new StopText(List.of(stop));
      String shown = stops.add(text.substring(0, cut)) + stops.add(text.substring(cut));
      assertThat(shown).as("cut at %d", cut).isEqualTo("x");
      assertThat(stops.stopped()).isTrue();
    }
    var each = new StopText(List.of(stop));
    assertThat(each.add("x")).isEqualTo("x");
    for (int i = 0; i < stop.length(); i++) {
      assertThat(each.add(stop.substring(i, i + 1))).isEmpty();
    }
    assertThat(each.stopped()).isTrue();
    assertThat(each.rest()).isEmpty();
  }

  @Test
  void a_beginning_that_leads_nowhere_is_shown_whole() {
    var stops = new StopText(List.of("abc"));
    assertThat(stops.add("ab")).isEmpty();
    assertThat(stops.add("x")).isEqualTo("abx");
    assertThat(stops.add("aab")).as("no longer than needed").isEqualTo("a");
    assertThat(stops.rest()).isEqualTo("ab");
    assertThat(stops.stopped()).isFalse();
  }

  @Test
  void any_cut_of_any_text_shows_what_stands_before_the_first_stop() {
    var random = new Random(5);
    for (int i = 0; i < 3_000; i++) {
      List<String> all = List.of(word(random, 4), word(random, 3), word(random, 2));
      List<String> stops = all.subList(0, 1 + random.nextInt(3));
      String text = word(random, 12);
      var stop = new StopText(stops);
      var shown = new StringBuilder();
      for (int at = 0; at < text.length() && !stop.stopped(); ) {
        int end = Math.min(text.length(), at + 1 + random.nextInt(3));
        shown.append(stop.add(text.substring(at, end)));
        at = end;
      }
      int first =
          stops.stream().mapToInt(text::indexOf).filter(at -> at >= 0).min().orElse(text.length());
      boolean stopped = stop.stopped();
      String rest = stop.rest();
      if (stopped) { // the one that ends first may not be the one that begins first
        assertThat(stops).anyMatch(s -> text.startsWith(s, shown.length()));
      } else {
        assertThat(shown + rest).isEqualTo(text);
        assertThat(first).isEqualTo(text.length());
      }
    }
  }

  private static String word(Random random, int most) {
    var word = new StringBuilder();
    for (int i = 1 + random.nextInt(most); i > 0; i--) {
      word.append((char) ('a' + random.nextInt(2)));
    }
    return word.toString();
  }
}
