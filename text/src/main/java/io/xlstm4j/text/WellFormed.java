package io.xlstm4j.text;

/// Strings that can be written as UTF-8.
final class WellFormed {
  private WellFormed() {}

  /// The text with U+FFFD for every lone surrogate; the same object if there is none.
  static String of(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        if (isPair(text, i)) {
          i++;
        } else {
          return repaired(text, i);
        }
      }
    }
    return text;
  }

  private static String repaired(String text, int firstLone) {
    var repaired = new StringBuilder(text);
    for (int i = firstLone; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        if (isPair(text, i)) {
          i++;
        } else {
          repaired.setCharAt(i, '\uFFFD');
        }
      }
    }
    return repaired.toString();
  }

  private static boolean isPair(String text, int i) {
    return i + 1 < text.length() && Character.isSurrogatePair(text.charAt(i), text.charAt(i + 1));
  }
}
