package io.xlstm4j.text;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// The symbols of a formal language, one character for each token; `_` is padding and ends a text.
final class SymbolTokenizer implements Tokenizer {
  private static final Pattern NAME = Pattern.compile("([a-z_]+)-(\\d{1,4})");
  private static final String DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";
  private static final String PADDING = "_";

  private final String name;
  private final String symbols; // by id

  SymbolTokenizer(FormalLanguage.Task task, int vocabSize) {
    name = task + "-" + vocabSize;
    symbols = symbols(task).substring(0, vocabSize);
  }

  /// The tokenizer of a name such as `parity-3`, or null if there is none.
  static @Nullable SymbolTokenizer of(String name) {
    Matcher matcher = NAME.matcher(name);
    if (matcher.matches()) {
      int vocabSize = Integer.parseInt(matcher.group(2));
      for (FormalLanguage.Task task : FormalLanguage.Task.values()) {
        if (task.toString().equals(matcher.group(1))
            && vocabSize >= task.smallestVocab()
            && vocabSize <= largestVocab(task)) {
          return new SymbolTokenizer(task, vocabSize);
        }
      }
    }
    return null;
  }

  static int largestVocab(FormalLanguage.Task task) {
    return symbols(task).length();
  }

  private static String symbols(FormalLanguage.Task task) {
    return PADDING
        + switch (task) {
          case PARITY, EVEN_PAIRS -> DIGITS;
          case CYCLE_NAVIGATION -> ".+-" + DIGITS;
          case MODULAR_ARITHMETIC -> "+-*=" + DIGITS;
        };
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public String fingerprint() {
    return name;
  }

  @Override
  public int vocabSize() {
    return symbols.length();
  }

  /// The padding, which no sample holds.
  @Override
  public int endOfText() {
    return 0;
  }

  /// @throws InvalidTextException if a character is no symbol of the language
  @Override
  public int[] encode(String text) {
    int[] ids = new int[text.length()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = symbols.indexOf(text.charAt(i));
      if (ids[i] <= 0) {
        throw new InvalidTextException(
            "%s: \"%s\" has the character %c; its symbols are %s"
                .formatted(name, text, text.charAt(i), symbols.substring(1)));
      }
    }
    return ids;
  }

  @Override
  public String decode(int[] ids) {
    var text = new StringBuilder(ids.length);
    for (int id : ids) {
      text.append(symbols.charAt(id));
    }
    return text.toString();
  }

  @Override
  public StreamDecoder streamDecoder() {
    return new StreamDecoder() {
      @Override
      public String next(int id) {
        return symbols.substring(id, id + 1);
      }

      @Override
      public String finish() {
        return "";
      }
    };
  }

  @Override
  public void close() {}
}
