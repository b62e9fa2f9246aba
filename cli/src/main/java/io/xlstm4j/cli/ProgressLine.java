package io.xlstm4j.cli;

import io.xlstm4j.train.logging.NumberFormats;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;

/// A progress line. In a terminal one line at the foot that is written over and over, as wide as
/// the terminal is at that moment; elsewhere, as under a pipe, a plain line now and then.
final class ProgressLine {
  private static final int WIDEST_BAR = 24;
  private static final int NARROWEST_BAR = 8;
  private static final long REDRAW_NANOS = 100_000_000;
  private static final long PLAIN_NANOS = 30_000_000_000L;
  private static final String ERASE = "\r\u001B[K";

  private final PrintWriter out;
  private final boolean interactive;
  private final IntSupplier width;
  private final LongSupplier nanoTime;
  private long drawn;
  private boolean visible;

  ProgressLine(PrintWriter out, boolean interactive) {
    this(out, interactive, Terminal::width, System::nanoTime);
  }

  /// @param width columns of the terminal, asked whenever the line is drawn
  /// @param nanoTime a clock
  ProgressLine(PrintWriter out, boolean interactive, IntSupplier width, LongSupplier nanoTime) {
    this.out = out;
    this.interactive = interactive;
    this.width = width;
    this.nanoTime = nanoTime;
    this.drawn = nanoTime.getAsLong();
  }

  /// Shows how far it is.
  ///
  /// @param note what to say behind the bar
  void show(int done, int all, String note) {
    show(done, all, List.of(note));
  }

  /// Shows how far it is: in a terminal at most ten times a second, elsewhere every 30 seconds.
  ///
  /// @param notes what to say behind the bar, what matters most first; the last ones are left out
  ///   where the terminal is too narrow
  void show(int done, int all, List<String> notes) {
    long now = nanoTime.getAsLong();
    if (!interactive) {
      if (now - drawn >= PLAIN_NANOS) {
        drawn = now;
        out.println(
            String.format(Locale.ROOT, "%d/%d  %3d%%  ", done, all, percent(done, all))
                + String.join("  ", notes));
        out.flush();
      }
      return;
    }
    if (done < all && visible && now - drawn < REDRAW_NANOS) {
      return;
    }
    drawn = now;
    visible = true;
    // the last column stays free: some terminals begin a new line once it is written
    out.print(ERASE + line(done, all, notes, width.getAsInt() - 1));
    out.flush();
  }

  /// At most `width` characters: first the bar shrinks, then notes go, then the bar.
  static String line(int done, int all, List<String> notes, int width) {
    String count = String.format(Locale.ROOT, "%d/%d", done, all);
    String percent = String.format(Locale.ROOT, "%3d%%", percent(done, all));
    for (int shown = notes.size(); shown >= 0; shown--) {
      String tail = percent + (shown == 0 ? "" : "  ") + String.join("  ", notes.subList(0, shown));
      int room = width - count.length() - tail.length() - 4; // two spaces, two brackets
      if (room >= NARROWEST_BAR) {
        int bar = Math.min(room, WIDEST_BAR) / NARROWEST_BAR * NARROWEST_BAR; // does not jitter
        int full = (int) ((long) bar * Math.min(done, all) / Math.max(1, all));
        return "%s [%s%s] %s".formatted(count, "#".repeat(full), ".".repeat(bar - full), tail);
      }
    }
    String bare = count + " " + percent;
    return bare.substring(0, Math.clamp(width, 0, bare.length()));
  }

  private static long percent(int done, int all) {
    return 100L * done / Math.max(1, all);
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
    return NumberFormats.duration(seconds);
  }
}
