package io.xlstm4j.train.series;

import io.xlstm4j.train.series.WrittenTime.Form;
import java.util.regex.Pattern;

/// The form in which a file writes dates and times of day: what a time that is added to it looks
/// like.
final class TimeStyle {
  private static final Pattern UNPADDED =
      Pattern.compile(
          "^[0-9]{0,4}[-/.][0-9][-/.]|^[0-9][-/.]|^[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]([^0-9]|$)");
  private static final Pattern SECONDS = Pattern.compile(":[0-9]{2}:[0-9]{2}");

  private boolean padded = true; // 01 for 1
  private boolean seconds; // are written
  private int digits; // behind the point of the seconds

  /// Takes a time of the file.
  void observe(WrittenTime time) {
    if (time.form() != Form.YEAR_FIRST && time.form() != Form.YEAR_LAST) {
      return;
    }
    padded &= time.separator() == '\0' || !UNPADDED.matcher(time.text()).find();
    seconds |= SECONDS.matcher(time.text()).find() || time.nanos() % 60_000_000_000L > 0;
    long fraction = Math.max(0, time.nanos()) % 1_000_000_000L;
    int needed = fraction == 0 ? 0 : 9;
    for (; fraction != 0 && fraction % 10 == 0; fraction /= 10) {
      needed--;
    }
    digits = Math.max(digits, needed);
  }

  /// The pattern of [java.time.format.DateTimeFormatter] in which a time is written.
  ///
  /// @param like a time of the same series
  /// @param dayFirst of dates with their year last
  /// @param clock whether a time of day is written anywhere in the file
  String pattern(WrittenTime like, boolean dayFirst, boolean clock) {
    String s = like.separator() == '\0' ? "" : "'" + like.separator() + "'";
    String day = padded ? "dd" : "d";
    String month = padded ? "MM" : "M";
    String date =
        like.form() == Form.YEAR_FIRST
            ? "uuuu" + s + month + s + day
            : (dayFirst ? day + s + month : month + s + day) + s + "uuuu";
    if (!clock) {
      return date;
    }
    boolean half = like.text().matches("(?i).*[0-9]\\s?[ap]\\.?m\\b.*");
    String join = like.text().indexOf('T') >= 0 ? "'T'" : " ";
    String time =
        (half ? "h:mm" : "HH:mm")
            + (seconds || digits > 0 ? ":ss" : "")
            + (digits > 0 ? "." + "S".repeat(digits) : "")
            + (half ? " a" : "");
    return date + join + time + (like.isInstant() ? offsetPattern(like) : "");
  }

  private static String offsetPattern(WrittenTime like) {
    String offset = like.text().matches(".*[+-][0-9]{4}\\b.*") ? "XX" : "XXX";
    return like.zone() == null ? offset : offset + "'['VV']'";
  }
}
