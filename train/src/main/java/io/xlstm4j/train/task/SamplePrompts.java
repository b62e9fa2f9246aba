package io.xlstm4j.train.task;

import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.text.Tokens;
import java.util.ArrayList;
import java.util.List;

/// Chooses the prompts of a run's samples for a corpus.
final class SamplePrompts {
  /// Heads of entries, as `WordNetCorpus` writes them.
  static final List<String> WORDNET =
      List.of("hedgehog (noun):", "run quickly (verb):", "blue (adjective):");

  private static final int PROMPTS = 3;
  private static final int DOCUMENTS = 64; // looked at
  private static final int TOKENS = 48; // of a document
  private static final int WORDS = 4;
  private static final int LONGEST = 60; // chars
  private static final int UNSPACED = 12; // characters of a text without words

  private SamplePrompts() {}

  /// The first words of the first documents that have some, each at most four words of one line.
  ///
  /// @return one to three prompts that differ; the empty prompt, which begins a document, if no
  ///   document has words
  static List<String> of(Tokens tokens, Tokenizer tokenizer) {
    var prompts = new ArrayList<String>();
    long at = 0; // of the end-of-text id before a document
    for (int i = 0; i < DOCUMENTS && prompts.size() < PROMPTS && at < tokens.size() - 1; i++) {
      long end = at + 1;
      while (end < tokens.size() && tokens.get(end) != tokens.endOfText()) {
        end++;
      }
      int[] ids = new int[(int) Math.min(TOKENS, end - at - 1)];
      tokens.read(at + 1, ids, 0, ids.length);
      String prompt = firstWords(tokenizer.decode(ids), ids.length == end - at - 1);
      if (!prompt.isEmpty() && !prompts.contains(prompt)) {
        prompts.add(prompt);
      }
      at = end;
    }
    return prompts.isEmpty() ? List.of("") : List.copyOf(prompts);
  }

  /// @param whole whether the text ends with its document, and not within a word
  private static String firstWords(String text, boolean whole) {
    String begin = text.stripLeading();
    int cut = begin.indexOf('\uFFFD'); // the bytes of half a character
    String good = cut < 0 ? begin : begin.substring(0, cut);
    String line = good.lines().findFirst().orElse("");
    boolean ends = line.length() < good.length() || (whole && cut < 0);
    int end = 0;
    int words = 0;
    for (int i = 1; i <= line.length() && i <= LONGEST && words < WORDS; i++) {
      boolean atEnd = i == line.length();
      boolean edge = !Character.isWhitespace(line.charAt(i - 1));
      if (edge && (atEnd ? ends : Character.isWhitespace(line.charAt(i)))) {
        end = i;
        words++;
      }
    }
    if (words == 0 && !line.isEmpty()) { // a script without spaces
      end = line.offsetByCodePoints(0, Math.min(UNSPACED, line.codePointCount(0, line.length())));
    }
    return line.substring(0, end);
  }
}
