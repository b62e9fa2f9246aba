package io.xlstm4j.text;

import java.util.function.Function;
import java.util.function.IntPredicate;

/// Streams through a decoder whose text for a token depends on its neighbours, such as one that
/// drops the first space of a text.
///
/// It decodes a short window twice, without and with the new tokens, and shows the difference. The
/// window is what was shown last, so that new tokens are never the first ones. Held back are: bytes
/// of a character in the making, with the whole run of byte tokens, as one bad byte spoils the run;
/// and text that ends in U+FFFD, as it may yet become a character.
final class WindowStreamDecoder implements StreamDecoder {
  private static final int MAX_HELD = 64; // no character has that many tokens

  private final Function<int[], String> decode;
  private final IntPredicate isByte;

  private IntList window = new IntList();
  private int shown; // how many ids of the window are shown already
  private String shownText = "";

  WindowStreamDecoder(Function<int[], String> decode, IntPredicate isByte) {
    this.decode = decode;
    this.isByte = isByte;
  }

  @Override
  public String next(int id) {
    boolean unfinished = isByte.test(id); // first, as it checks the id
    window.add(id);
    if (unfinished) {
      return "";
    }
    int[] ids = window.toArray();
    String text = decode.apply(ids);
    boolean mayChange = text.endsWith("\uFFFD") && ids.length - shown < MAX_HELD;
    if (text.length() <= shownText.length() || mayChange) {
      return "";
    }
    String fresh = difference(text);
    window = new IntList();
    for (int i = shown; i < ids.length; i++) {
      window.add(ids[i]);
    }
    shown = window.size();
    shownText = decode.apply(window.toArray());
    return fresh;
  }

  @Override
  public String finish() {
    String rest = window.size() == shown ? "" : difference(decode.apply(window.toArray()));
    window = new IntList();
    shown = 0;
    shownText = "";
    return rest;
  }

  private String difference(String text) {
    return text.substring(Math.min(shownText.length(), text.length()));
  }
}
