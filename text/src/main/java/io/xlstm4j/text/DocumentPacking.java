package io.xlstm4j.text;

import java.util.ArrayList;
import java.util.List;

/// The assignment of documents to windows, so that none is split.
///
/// First fit with a bounded number of open windows: a document goes to the oldest open window that
/// has room for it; if there is none, a new window opens, and if too many are open, the fullest is
/// closed first. A document of n tokens takes n + 1 places, the last of which predicts the end of
/// the text; what exceeds a window is dropped. The index takes about 8 bytes for each document and
/// each window.
final class DocumentPacking {
  static final int OPEN_WINDOWS = 128;

  private static final int BLOCK = 1 << 16; // tokens read at once

  private final Tokens tokens;
  private final int length;
  private final LongList starts = new LongList(); // of documents, window after window
  private final LongList firsts = new LongList(); // of each window, and one more: where in starts
  private final List<Window> open = new ArrayList<>(OPEN_WINDOWS); // oldest first
  private long targets;

  private static final class Window {
    final LongList starts = new LongList();
    int room;

    Window(int room) {
      this.room = room;
    }
  }

  /// Reads all tokens once.
  DocumentPacking(Tokens tokens, int length) {
    this.tokens = tokens;
    this.length = length;
    firsts.add(0);
    int[] block = new int[BLOCK];
    long start = 0; // of the document that is read; the first token is an end of text
    for (long at = 0; at < tokens.size(); at += BLOCK) {
      int count = (int) Math.min(BLOCK, tokens.size() - at);
      tokens.read(at, block, 0, count);
      for (int i = 0; i < count; i++) {
        if (block[i] == tokens.endOfText() && at + i > 0) {
          place(start, (int) Math.min(at + i - start, length));
          start = at + i;
        }
      }
    }
    open.forEach(this::close);
    open.clear();
  }

  private void place(long start, int size) {
    Window window = null;
    for (int i = 0; i < open.size() && window == null; i++) {
      window = open.get(i).room >= size ? open.get(i) : null;
    }
    if (window == null) {
      if (open.size() == OPEN_WINDOWS) {
        Window fullest = fullest();
        close(fullest);
        open.remove(fullest);
      }
      window = new Window(length);
      open.add(window);
    }
    window.starts.add(start);
    window.room -= size;
    targets += size;
    if (window.room == 0) {
      close(window);
      open.remove(window);
    }
  }

  private Window fullest() {
    Window fullest = open.getFirst();
    for (Window window : open) {
      fullest = window.room < fullest.room ? window : fullest;
    }
    return fullest;
  }

  private void close(Window window) {
    starts.addAll(window.starts);
    firsts.add(starts.size());
  }

  long windows() {
    return firsts.size() - 1L;
  }

  /// Places of all windows that hold a target.
  long targets() {
    return targets;
  }

  /// Writes a window into a sequence of padding.
  void fill(Batch batch, int sequence, long window) {
    int column = 0;
    int end = (int) firsts.get((int) window + 1);
    for (int i = (int) firsts.get((int) window); i < end; i++) {
      long from = starts.get(i);
      long to = from + 1;
      while (to - from < length - column && tokens.get(to) != tokens.endOfText()) {
        to++;
      }
      batch.fill(sequence, column, tokens, from, to);
      column += (int) (to - from);
    }
  }
}
