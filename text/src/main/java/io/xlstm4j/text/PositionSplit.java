package io.xlstm4j.text;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.stream.Stream;

/// Divides one long document, which may come in pieces, at a place: what is before it trains, the
/// rest validates.
///
/// @param piece number of the piece with the place, from 0
/// @param offset of the place in that piece, in chars; may be 0, and is never its length
record PositionSplit(long piece, int offset) implements FileCorpus.Division {
  /// The share of the text that validates, about.
  static final double VALIDATION_SHARE = 0.1;

  /// The largest distance of a line end from the wanted place, as a share of the text.
  private static final double REACH = 0.05;

  /// Finds the place: the line end nearest to nine tenths of the text, or if none is within 5 % of
  /// it, the white space nearest to it, or if there is none either, that very place.
  ///
  /// @param text the pieces, at every call from the first
  /// @param name the corpus, for the message
  /// @throws InvalidTextException if there are fewer than two characters
  static PositionSplit of(Supplier<FileDocuments> text, String name) {
    long all = 0;
    try (var pieces = text.get()) {
      while (pieces.hasNext()) {
        all += pieces.next().length();
      }
    }
    if (all < 2) {
      throw new InvalidTextException(
          name
              + ": there is only one character; a part to train on and one to validate are needed");
    }
    long wanted = Math.clamp(Math.round(all * (1 - VALIDATION_SHARE)), 1, all - 1);
    int reach = (int) Math.min(all * REACH, DocumentReader.MAX_BYTES);
    try (var pieces = text.get()) {
      long before = 0;
      for (long piece = 0; ; piece++) {
        String at = pieces.next();
        if (wanted < before + at.length()) {
          return new PositionSplit(
              piece, nearest(at, (int) (wanted - before), reach, before == 0 ? 1 : 0));
        }
        before += at.length();
      }
    }
  }

  /// @param least the smallest offset allowed; the largest is one char before the end
  private static int nearest(String text, int wanted, int reach, int least) {
    int lineEnd = nearest(text, wanted, reach, least, true);
    int space = lineEnd >= 0 ? lineEnd : nearest(text, wanted, reach, least, false);
    if (space >= 0) {
      return space;
    }
    boolean half = wanted > 0 && Character.isLowSurrogate(text.charAt(wanted));
    return half && wanted - 1 >= least ? wanted - 1 : half ? wanted + 1 : wanted;
  }

  /// The offset behind the nearest line end or white space, or -1.
  private static int nearest(String text, int wanted, int reach, int least, boolean lineEnds) {
    for (int away = 0; away <= reach; away++) {
      for (int at : new int[] {wanted - away, wanted + away}) {
        if (at >= Math.max(1, least) && at < text.length()) {
          char c = text.charAt(at - 1);
          if (lineEnds ? c == '\n' : Character.isWhitespace(c)) {
            return at;
          }
        }
      }
    }
    return -1;
  }

  @Override
  public Stream<String> select(Stream<String> documents, Split split) {
    var number = new AtomicLong();
    return documents
        .map(text -> part(number.getAndIncrement(), text, split))
        .filter(part -> !part.isEmpty());
  }

  private String part(long number, String text, Split split) {
    int end = number < piece ? text.length() : number > piece ? 0 : offset; // of what trains
    return switch (split) {
      case TRAIN -> text.substring(0, end);
      case VALIDATION -> text.substring(end);
    };
  }

  @Override
  public double validationShare() {
    return VALIDATION_SHARE;
  }

  @Override
  public String recipe() {
    return ", by position 1";
  }
}
