package io.xlstm4j.cli;

import java.io.PrintWriter;
import java.util.Locale;

/// One line at the foot of a terminal that is written over and over; silent where there is none.
final class ProgressLine {
  private static final int BAR_WIDTH = 24;
  private static final long REDRAW_NANOS = 100_000_000;
  private static final String ERASE = "\r\u001B[K";

  private final PrintWriter out;
  private final boolean interactive;
  private long drawn;
  private boolean visible;

  ProgressLine(PrintWriter out, boolean interactive) {
    this.out = out;
    this.interactive = interactive;
  }

  /// Shows how far it is; at most ten times a second.
  ///
  /// @param note what to say behind the bar
  void show(int done, int all, String note) {
    long now = System.nanoTime();
    if (!interactive || (done < all && visible && now - drawn < REDRAW_NANOS)) {
      return;
    }
    drawn = now;
    visible = true;
    int full = (int) ((long) BAR_WIDTH * done / all);
    out.print(
        ERASE
            + String.format(
                Locale.ROOT,
                "%d/%d [%s%s] %3d%%  %s",
                done,
                all,
                "#".repeat(full),
                ".".repeat(BAR_WIDTH - full),
                100L * done / all,
                note));
    out.flush();
  }

  /// Takes the line away, so that something else can be printed.
  void clear() {
    if (visible) {
      out.print(ERASE);
      out.flush();
      visible = false;
    }
  }

  /// `4:05`, or `1:02:03` from an hour on.
  static String duration(double seconds) {
    long s = Math.round(seconds);
    return s < 3600
        ? String.format(Locale.ROOT, "%d:%02d", s / 60, s % 60)
        : String.format(Locale.ROOT, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
  }
}
