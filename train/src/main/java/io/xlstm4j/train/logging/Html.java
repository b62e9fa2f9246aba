package io.xlstm4j.train.logging;

/// Text as HTML.
final class Html {
  private Html() {}

  /// `text` so that it means itself, in an element or in an attribute between quotes. What HTML
  /// does not allow becomes U+FFFD.
  static String escape(String text) {
    var out = new StringBuilder(text.length() + 16);
    text.codePoints()
        .forEach(c -> {
          switch (c) {
            case '&' -> out.append("&amp;");
            case '<' -> out.append("&lt;");
            case '>' -> out.append("&gt;");
            case '"' -> out.append("&quot;");
            case '\'' -> out.append("&#39;");
            case '\n', '\t' -> out.append((char) c);
            default -> {
              int type = Character.getType(c);
              boolean bad = type == Character.CONTROL || type == Character.SURROGATE;
              out.appendCodePoint(bad ? 0xFFFD : c);
            }
          }
        });
    return out.toString();
  }
}
