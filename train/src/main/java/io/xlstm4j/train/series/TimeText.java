package io.xlstm4j.train.series;

import java.math.BigDecimal;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Writes times in the form of a file.
///
/// @param zone whose clock shows times without an offset; null if none is configured
/// @param pattern that the times are read by; null if their form was recognised
record TimeText(
    TimeColumn column,
    TimeStyle style,
    @Nullable ZoneId zone,
    @Nullable DateTimeFormatter pattern) {
  /// Writes an instant, or a time of the clock, as the file does.
  ///
  /// @param position seconds since 1970, of the clock if the file has no instants
  /// @param like a time of the series
  String text(BigDecimal position, Moment like) {
    LocalDateTime local = ofSeconds(position);
    @Nullable ZoneId clock = zoneOf(like);
    return clock == null
        ? text(local.atZone(ZoneOffset.UTC), like)
        : text(local.toInstant(ZoneOffset.UTC).atZone(clock), like);
  }

  /// Writes a time of the clock as the file does.
  String text(LocalDateTime local, Moment like) {
    @Nullable ZoneId clock = zoneOf(like);
    return text(local.atZone(clock == null ? ZoneOffset.UTC : clock), like);
  }

  private @Nullable ZoneId zoneOf(Moment like) {
    if (!column.instants() && !column.hasClock()) {
      return null;
    }
    return zone != null
        ? zone
        : like.written().zone() != null ? like.written().zone() : like.written().offset();
  }

  static LocalDateTime ofSeconds(BigDecimal position) {
    BigDecimal[] parts = position.divideAndRemainder(BigDecimal.ONE);
    long whole = parts[0].longValueExact();
    int nanos = parts[1].movePointRight(9).intValue();
    return LocalDateTime.ofEpochSecond(
        Math.addExact(whole, nanos < 0 ? -1 : 0),
        nanos < 0 ? nanos + 1_000_000_000 : nanos,
        ZoneOffset.UTC);
  }

  private String text(ZonedDateTime time, Moment like) {
    if (pattern != null) {
      return pattern.format(time);
    }
    WrittenTime written = like.written();
    return switch (column.form()) {
      case MONTH ->
          DateTimeFormatter.ofPattern(
                  written.third() == 1
                      ? "uuuu'" + separator(written.text()) + "'MM"
                      : "MM'" + separator(written.text()) + "'uuuu",
                  Locale.ROOT)
              .format(time);
      case QUARTER ->
          written.third() == 1
              ? time.getYear() + beforeQuarter(written.text()) + quarter(time)
              : "Q" + quarter(time) + between(written.text()) + time.getYear();
      case WEEK -> DateTimeFormatter.ISO_WEEK_DATE.format(time.toLocalDate()).substring(0, 8);
      default ->
          DateTimeFormatter.ofPattern(
                  style.pattern(
                      written, column.dateOrder() == DateOrder.DAY_FIRST, column.hasClock()),
                  Locale.ROOT)
              .format(time);
    };
  }

  private static char separator(String month) {
    return month.indexOf('/') >= 0 ? '/' : '-';
  }

  private static int quarter(ZonedDateTime time) {
    return (time.getMonthValue() + 2) / 3;
  }

  private static String beforeQuarter(String text) {
    return text.substring(4, text.length() - 1);
  }

  private static String between(String text) {
    return text.substring(2, text.length() - 4);
  }
}
