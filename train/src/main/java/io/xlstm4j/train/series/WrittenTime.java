package io.xlstm4j.train.series;

import java.math.BigDecimal;
import java.time.DateTimeException;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoField;
import java.time.temporal.IsoFields;
import java.time.temporal.TemporalAccessor;
import java.time.temporal.TemporalQueries;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// A time as a field of a file has it, taken apart.
///
/// @param line of the file
/// @param first,second,third numbers of the date in the order in which they are written
/// @param separator of the date
/// @param nanos of the day; negative if there is no time of day; 24:00 is the start of the next day
/// @param offset from UTC; null if none is written
/// @param zone named zone; null if none is written
/// @param number of the form NUMBER; else null
record WrittenTime(
    String text,
    long line,
    Form form,
    int first,
    int second,
    int third,
    char separator,
    long nanos,
    @Nullable ZoneOffset offset,
    @Nullable ZoneId zone,
    @Nullable BigDecimal number) {
  /// Kinds of notations; a column has one of them.
  enum Form {
    NUMBER("a number"),
    MONTH("a year and a month"),
    QUARTER("a year and a quarter"),
    WEEK("a year and a week"),
    /// year, month, day
    YEAR_FIRST("a date"),
    /// day, month, year, or month, day, year
    YEAR_LAST("a date with its year last");

    private final String words;

    Form(String words) {
      this.words = words;
    }
  }

  private static final Pattern NUMBER =
      Pattern.compile("[+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?");
  private static final String TIME =
      "(?<h>[0-9]{1,2}):(?<m>[0-9]{2})(?::(?<s>[0-9]{2})(?:[.,](?<f>[0-9]{1,9}))?)?"
          + "(?:\\s?(?<half>[AaPp])\\.?[Mm]\\.?)?"
          + "(?:\\s*(?<off>Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2}){0,2}))?"
          + "(?:\\s*\\[?(?<zone>[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+)]?)?";
  private static final Pattern DATE =
      Pattern.compile(
          "(?<a>[0-9]{1,4})(?<sep>[-/.])(?<b>[0-9]{1,2})\\k<sep>(?<c>[0-9]{1,4})"
              + "(?:(?:[Tt]|\\s+|,\\s+)"
              + TIME
              + ")?");
  private static final Pattern COMPACT =
      Pattern.compile(
          "([0-9]{4})([0-9]{2})([0-9]{2})[Tt]([0-9]{2})([0-9]{2})([0-9]{2})?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?");
  private static final Pattern COMPACT_DATE =
      Pattern.compile("((?:18|19|20|21)[0-9]{2})([0-9]{2})([0-9]{2})");
  private static final Pattern MONTH =
      Pattern.compile("(?<y>[0-9]{4})[-/](?<m>[0-9]{1,2})|(?<m2>[0-9]{1,2})[-/](?<y2>[0-9]{4})");
  private static final Pattern QUARTER =
      Pattern.compile("(?<y>[0-9]{4})[- /]?[Qq](?<q>[1-4])|[Qq](?<q2>[1-4])[- /]?(?<y2>[0-9]{4})");
  private static final Pattern WEEK = Pattern.compile("([0-9]{4})-?[Ww]([0-9]{1,2})");

  private static final long SECOND = 1_000_000_000L;
  private static final long DAY = 86_400 * SECOND;

  /// Returns whether a time of day is written.
  boolean hasTimeOfDay() {
    return nanos >= 0;
  }

  /// Returns whether it is an instant: with an offset or a zone.
  boolean isInstant() {
    return offset != null || zone != null;
  }

  /// Returns the form in words; all times of a column must have the same.
  String kind() {
    return form.words + (isInstant() ? " with an offset from UTC" : "");
  }

  /// Reads a time.
  ///
  /// @return null if it has none of the known forms
  static @Nullable WrittenTime of(String text, long line) {
    if (NUMBER.matcher(text).matches()) {
      return new WrittenTime(
          text, line, Form.NUMBER, 0, 0, 0, ' ', -1, null, null, new BigDecimal(text));
    }
    try {
      Matcher date = DATE.matcher(text);
      if (date.matches()) {
        return ofDate(date, text, line);
      }
      Matcher compact = COMPACT.matcher(text);
      if (compact.matches()) {
        long seconds = compact.group(6) == null ? 0 : Long.parseLong(compact.group(6));
        return date(
            text,
            line,
            compact,
            timeOfDay(number(compact, 4), number(compact, 5), seconds),
            offset(compact.group(7)));
      }
      Matcher month = MONTH.matcher(text);
      if (month.matches()) {
        boolean yearFirst = month.group("y") != null;
        int year = number(month, yearFirst ? "y" : "y2");
        int of = number(month, yearFirst ? "m" : "m2");
        ChronoField.MONTH_OF_YEAR.checkValidValue(of);
        return parts(text, line, Form.MONTH, year, of, yearFirst ? 1 : 0, -1);
      }
      Matcher quarter = QUARTER.matcher(text);
      if (quarter.matches()) {
        boolean yearFirst = quarter.group("y") != null;
        int year = number(quarter, yearFirst ? "y" : "y2");
        int of = number(quarter, yearFirst ? "q" : "q2");
        return parts(text, line, Form.QUARTER, year, of, yearFirst ? 1 : 0, -1);
      }
      Matcher week = WEEK.matcher(text);
      if (week.matches()) {
        var written = parts(text, line, Form.WEEK, number(week, 1), number(week, 2), 1, -1);
        written.local(DateOrder.DAY_FIRST); // refuses a week that the year does not have
        return written;
      }
    } catch (DateTimeException _) {
      // such as 2026-02-30
    }
    return null;
  }

  private static WrittenTime parts(
      String text, long line, Form form, int first, int second, int third, long nanos) {
    return new WrittenTime(text, line, form, first, second, third, '-', nanos, null, null, null);
  }

  private static @Nullable WrittenTime ofDate(Matcher date, String text, long line) {
    boolean yearFirst = date.group("a").length() == 4;
    if (date.group("a").length() == 3 || date.group("c").length() != (yearFirst ? 1 : 4)) {
      if (!yearFirst || date.group("c").length() != 2) {
        return null;
      }
    }
    long nanos = -1;
    if (date.group("h") != null) {
      String seconds = date.group("s");
      String fraction = date.group("f");
      int hour = number(date, "h");
      String half = date.group("half");
      if (half != null) {
        ChronoField.CLOCK_HOUR_OF_AMPM.checkValidValue(hour);
        hour = hour % 12 + (half.equalsIgnoreCase("p") ? 12 : 0);
      }
      nanos =
          timeOfDay(hour, number(date, "m"), seconds == null ? 0 : Long.parseLong(seconds))
              + (fraction == null ? 0 : Long.parseLong((fraction + "00000000").substring(0, 9)));
      if (nanos > DAY) {
        return null;
      }
    }
    String zone = date.group("zone");
    var written =
        new WrittenTime(
            text,
            line,
            yearFirst ? Form.YEAR_FIRST : Form.YEAR_LAST,
            number(date, "a"),
            number(date, "b"),
            number(date, "c"),
            date.group("sep").charAt(0),
            nanos,
            offset(date.group("off")),
            zone == null ? null : ZoneId.of(zone),
            null);
    if (yearFirst) {
      written.local(DateOrder.DAY_FIRST); // refuses what is no day
    }
    return written;
  }

  private static WrittenTime date(
      String text, long line, Matcher parts, long nanos, @Nullable ZoneOffset offset) {
    var written =
        new WrittenTime(
            text,
            line,
            Form.YEAR_FIRST,
            number(parts, 1),
            number(parts, 2),
            number(parts, 3),
            '\0',
            nanos,
            offset,
            null,
            null);
    written.local(DateOrder.DAY_FIRST);
    return written;
  }

  /// A number of eight digits as the date that it spells.
  ///
  /// @return null if it spells none
  @Nullable WrittenTime asCompactDate() {
    Matcher match = COMPACT_DATE.matcher(text);
    try {
      return match.matches() ? date(text, line, match, -1, null) : null;
    } catch (DateTimeException _) {
      return null;
    }
  }

  /// Reads a time by a pattern.
  ///
  /// @return null if it does not fit
  static @Nullable WrittenTime of(String text, long line, DateTimeFormatter pattern) {
    try {
      TemporalAccessor parsed = pattern.parse(text);
      ZoneId zone = parsed.query(TemporalQueries.zoneId());
      ZoneOffset offset =
          parsed.isSupported(ChronoField.OFFSET_SECONDS)
              ? ZoneOffset.ofTotalSeconds(parsed.get(ChronoField.OFFSET_SECONDS))
              : null;
      if (zone == null && offset == null && parsed.isSupported(ChronoField.INSTANT_SECONDS)) {
        offset = ZoneOffset.UTC;
      }
      var date = parsed.query(TemporalQueries.localDate());
      if (date != null) {
        var time = parsed.query(TemporalQueries.localTime());
        return new WrittenTime(
            text,
            line,
            Form.YEAR_FIRST,
            date.getYear(),
            date.getMonthValue(),
            date.getDayOfMonth(),
            '-',
            time == null ? -1 : time.toNanoOfDay(),
            offset,
            zone,
            null);
      }
      int year = parsed.get(ChronoField.YEAR);
      return parsed.isSupported(ChronoField.MONTH_OF_YEAR)
          ? parts(text, line, Form.MONTH, year, parsed.get(ChronoField.MONTH_OF_YEAR), 1, -1)
          : parts(
              text,
              line,
              Form.QUARTER,
              year,
              parsed.isSupported(IsoFields.QUARTER_OF_YEAR)
                  ? parsed.get(IsoFields.QUARTER_OF_YEAR)
                  : 1,
              1,
              -1);
    } catch (DateTimeException _) {
      return null;
    }
  }

  private static int number(Matcher matcher, String group) {
    return Integer.parseInt(matcher.group(group));
  }

  private static int number(Matcher matcher, int group) {
    return Integer.parseInt(matcher.group(group));
  }

  private static long timeOfDay(int hour, int minute, long second) {
    if (hour != 24 || minute != 0 || second != 0) {
      ChronoField.HOUR_OF_DAY.checkValidValue(hour);
      ChronoField.MINUTE_OF_HOUR.checkValidValue(minute);
      ChronoField.SECOND_OF_MINUTE.checkValidValue(second);
    }
    return (hour * 3600L + minute * 60L + second) * SECOND;
  }

  private static @Nullable ZoneOffset offset(@Nullable String text) {
    if (text == null) {
      return null;
    }
    return Character.isLetter(text.charAt(0)) ? ZoneOffset.UTC : ZoneOffset.of(text);
  }

  /// The wall clock's date and time; the first day of a month, a quarter or a week.
  ///
  /// @param order of dates with their year last
  /// @throws DateTimeException if there is no such day
  LocalDateTime local(DateOrder order) {
    return switch (form) {
      case NUMBER -> throw new IllegalStateException("a number has no clock");
      case MONTH -> LocalDateTime.of(first, second, 1, 0, 0);
      case QUARTER -> LocalDateTime.of(first, 3 * second - 2, 1, 0, 0);
      case WEEK -> monday(first, second);
      case YEAR_FIRST -> at(first, second, third);
      case YEAR_LAST ->
          order == DateOrder.DAY_FIRST ? at(third, second, first) : at(third, first, second);
    };
  }

  private LocalDateTime at(int year, int month, int day) {
    return LocalDateTime.of(year, month, day, 0, 0).plusNanos(Math.max(0, nanos));
  }

  private static LocalDateTime monday(int year, int week) {
    LocalDateTime inFirstWeek = LocalDateTime.of(year, 1, 4, 0, 0);
    IsoFields.WEEK_OF_WEEK_BASED_YEAR
        .rangeRefinedBy(inFirstWeek)
        .checkValidValue(week, IsoFields.WEEK_OF_WEEK_BASED_YEAR);
    return inFirstWeek.with(ChronoField.DAY_OF_WEEK, 1).plusWeeks(week - 1L);
  }
}
