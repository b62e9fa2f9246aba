package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.series.WrittenTime.Form;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// The times of a file: all in one form, and what each is as an instant or a number.
final class TimeColumn {
  /// Upper bound of what a clock is put back by when summer time ends.
  private static final Duration CLOCK_CHANGE = Duration.ofHours(2);

  private final Path file;
  private final SeriesConfig config;
  private final List<WrittenTime> written = new ArrayList<>();
  private final @Nullable DateTimeFormatter pattern;
  private final TimeStyle style = new TimeStyle();
  private Form form = Form.NUMBER;
  private DateOrder order = DateOrder.DAY_FIRST;
  private boolean instants;
  private boolean clock; // whether a time of day is written anywhere

  TimeColumn(Path file, SeriesConfig config) {
    this.file = file;
    this.config = config;
    pattern = config.timePattern();
  }

  /// Takes the time of a row, in the order of the file.
  ///
  /// @throws InvalidInputException if it cannot be read
  void add(String text, long line) {
    WrittenTime time =
        text.isEmpty()
            ? null
            : pattern == null ? WrittenTime.of(text, line) : WrittenTime.of(text, line, pattern);
    if (time == null) {
      throw refused(
          text.isEmpty()
              ? "line %d: column %s has no time; give the row one, or leave the row out"
                  .formatted(line, name())
              : "line %d: column %s must be a time, but is %s%s"
                  .formatted(
                      line,
                      name(),
                      OneLine.quote(text),
                      pattern == null
                          ? "; write it as 2026-01-31T10:00:00, or set series.time_format"
                          : "; series.time_format is " + config.timeFormat()));
    }
    written.add(time);
  }

  /// Finds the form that all times have.
  ///
  /// @param known order of day and month that a model was trained with; null if there is none
  /// @throws InvalidInputException if they have different forms, or may mean different days
  void decide(@Nullable DateOrder known) {
    if (pattern == null && written.stream().allMatch(time -> time.asCompactDate() != null)) {
      written.replaceAll(time -> Objects.requireNonNull(time.asCompactDate()));
    }
    WrittenTime one = written.getFirst();
    for (WrittenTime other : written) {
      boolean mixedDates = other.form() == Form.YEAR_LAST && other.separator() != one.separator();
      if (!other.kind().equals(one.kind()) || mixedDates) {
        throw refused(
            "lines %d and %d: the times of column %s must have one form, but %s is %s and %s is %s"
                .formatted(
                    one.line(),
                    other.line(),
                    name(),
                    OneLine.quote(one.text()),
                    kind(one, other),
                    OneLine.quote(other.text()),
                    kind(other, one)));
      }
    }
    form = one.form();
    instants = one.isInstant();
    clock = written.stream().anyMatch(WrittenTime::hasTimeOfDay);
    if (form == Form.NUMBER && !config.timeZone().isEmpty()) {
      throw refused(
          "series.time_zone is for dates, but column %s has numbers; leave it out"
              .formatted(name()));
    }
    if (form == Form.YEAR_LAST) {
      order = orderOf(known);
    }
    for (WrittenTime time : written) {
      style.observe(time);
      if (time.form() == Form.YEAR_LAST) {
        try {
          time.local(order);
        } catch (DateTimeException e) {
          throw refused(
              "line %d: column %s has %s, which is no day with the %s first"
                  .formatted(
                      time.line(),
                      name(),
                      OneLine.quote(time.text()),
                      order == DateOrder.DAY_FIRST ? "day" : "month"));
        }
      }
    }
  }

  private static String kind(WrittenTime time, WrittenTime other) {
    return time.form() == other.form() && !time.isInstant() && other.isInstant()
        ? time.kind() + " without one"
        : time.kind() + (time.form() == Form.YEAR_LAST ? " (" + time.separator() + ")" : "");
  }

  private DateOrder orderOf(@Nullable DateOrder known) {
    WrittenTime day = null; // whose first number can only be a day
    WrittenTime month = null; // whose second can
    for (WrittenTime time : written) {
      day = day == null && time.first() > 12 ? time : day;
      month = month == null && time.second() > 12 ? time : month;
    }
    if (day != null && month != null) {
      throw refused(
          "lines %d and %d: %s of column %s has its day first, %s its month; write all dates alike, best as 2026-01-31"
              .formatted(
                  day.line(),
                  month.line(),
                  OneLine.quote(day.text()),
                  name(),
                  OneLine.quote(month.text())));
    }
    if (day != null || month != null) {
      return day != null ? DateOrder.DAY_FIRST : DateOrder.MONTH_FIRST;
    }
    if (known != null) {
      return known;
    }
    WrittenTime one = written.getFirst();
    for (WrittenTime time : written) {
      one = one.first() == one.second() ? time : one;
    }
    if (one.separator() == '.' || one.first() == one.second()) {
      return DateOrder.DAY_FIRST;
    }
    char s = one.separator();
    throw refused(
        "line %d: %s of column %s may be %s or %s, and no row of the file decides; set series.time_format, for example dd%sMM%suuuu or MM%sdd%suuuu"
            .formatted(
                one.line(),
                OneLine.quote(one.text()),
                name(),
                one.local(DateOrder.DAY_FIRST).toLocalDate(),
                one.local(DateOrder.MONTH_FIRST).toLocalDate(),
                s,
                s,
                s,
                s));
  }

  /// The order of day and month in the file; null if its dates do not leave it open.
  @Nullable DateOrder order() {
    return form == Form.YEAR_LAST ? order : null;
  }

  Form form() {
    return form;
  }

  boolean instants() {
    return instants;
  }

  // ---- of a series

  /// The times of the rows of a series.
  ///
  /// @param rows numbers of its rows, as counted by [#add], in the order of the file
  /// @throws InvalidInputException if the clock was put back or forward and nothing says which
  ///   instant is meant
  List<Moment> moments(int[] rows) {
    var times = Arrays.stream(rows).mapToObj(written::get).toList();
    if (form == Form.NUMBER) {
      return times.stream().map(TimeColumn::numbered).toList();
    }
    List<LocalDateTime> locals = times.stream().map(time -> time.local(order)).toList();
    @Nullable ZoneId zone = zone();
    if (!instants && clock) {
      boolean descends = steps(locals, false) > steps(locals, true);
      if (zone != null) {
        return inZone(times, locals, zone, descends);
      }
      refuseClockChange(times, locals, descends);
    }
    var moments = new ArrayList<Moment>();
    for (int i = 0; i < rows.length; i++) {
      LocalDateTime local = locals.get(i);
      WrittenTime time = times.get(i);
      moments.add(
          switch (form) {
            case MONTH, QUARTER -> new Moment(BigDecimal.valueOf(months(local)), local, time);
            default -> new Moment(instants ? instant(time, local) : seconds(local), local, time);
          });
    }
    return moments;
  }

  private static Moment numbered(WrittenTime time) {
    if (time.number() == null) {
      throw new IllegalStateException("a column of numbers has a time that is none");
    }
    return new Moment(time.number(), null, time);
  }

  static long months(LocalDateTime local) {
    return local.getYear() * 12L + local.getMonthValue() - 1;
  }

  static BigDecimal seconds(LocalDateTime local) {
    return seconds(local, ZoneOffset.UTC);
  }

  private static BigDecimal seconds(LocalDateTime local, ZoneOffset offset) {
    Instant instant = local.toInstant(offset);
    BigDecimal whole = BigDecimal.valueOf(instant.getEpochSecond());
    int nanos = instant.getNano();
    return nanos == 0 ? whole : whole.add(BigDecimal.valueOf(nanos, 9));
  }

  private BigDecimal instant(WrittenTime time, LocalDateTime local) {
    ZoneOffset offset = time.offset();
    ZoneId zone = time.zone();
    if (zone != null) {
      List<ZoneOffset> valid = zone.getRules().getValidOffsets(local);
      if (offset == null && valid.size() == 1) {
        offset = valid.getFirst();
      } else if (offset == null || !valid.contains(offset)) {
        throw refused(
            "line %d: column %s has %s, %s"
                .formatted(
                    time.line(),
                    name(),
                    OneLine.quote(time.text()),
                    valid.isEmpty()
                        ? "a time that the clocks of the zone skip"
                        : offset == null
                            ? "a time that comes twice in the zone; write its offset from UTC"
                            : "whose offset is not one of the zone"));
      }
    }
    if (offset == null) {
      throw new IllegalStateException("an instant has an offset or a zone");
    }
    return seconds(local, offset);
  }

  /// Returns the number of rows later, or earlier, than the one above them.
  private static int steps(List<LocalDateTime> times, boolean later) {
    int count = 0;
    for (int i = 1; i < times.size(); i++) {
      int sign = times.get(i).compareTo(times.get(i - 1));
      count += (later ? sign > 0 : sign < 0) ? 1 : 0;
    }
    return count;
  }

  private List<Moment> inZone(
      List<WrittenTime> times, List<LocalDateTime> locals, ZoneId zone, boolean descends) {
    int count = times.size();
    boolean sorted = true;
    for (int i = 1; i < count; i++) {
      sorted &= back(locals, i, descends).compareTo(CLOCK_CHANGE) <= 0;
    }
    var moments = new Moment[count];
    BigDecimal last = null;
    for (int step = 0; step < count; step++) {
      int i = descends ? count - 1 - step : step;
      WrittenTime time = times.get(i);
      LocalDateTime local = locals.get(i);
      List<ZoneOffset> valid = zone.getRules().getValidOffsets(local);
      if (valid.isEmpty() || (valid.size() > 1 && !sorted)) {
        throw refused(
            "line %d: column %s has %s, a time that %s in the zone %s; %s"
                .formatted(
                    time.line(),
                    name(),
                    OneLine.quote(time.text()),
                    valid.isEmpty() ? "the clocks skip" : "comes twice",
                    zone,
                    valid.isEmpty()
                        ? "is series.time_zone right?"
                        : "put the rows in the order of time, or write offsets from UTC"));
      }
      BigDecimal position = seconds(local, valid.getFirst());
      if (valid.size() > 1 && last != null && position.compareTo(last) <= 0) {
        position = seconds(local, valid.getLast());
      }
      moments[i] = new Moment(position, local, time);
      last = position;
    }
    return List.of(moments);
  }

  /// Returns how far a row lies before the one that it should follow.
  private static Duration back(List<LocalDateTime> locals, int row, boolean descends) {
    LocalDateTime before = locals.get(row - 1);
    return descends
        ? Duration.between(before, locals.get(row))
        : Duration.between(locals.get(row), before);
  }

  /// Times of a clock that go back a little, in a file that is otherwise in order, are those of the
  /// end of summer time: sorting them would mix up the rows.
  private void refuseClockChange(
      List<WrittenTime> times, List<LocalDateTime> locals, boolean descends) {
    int found = -1;
    for (int i = 1; i < times.size(); i++) {
      Duration back = back(locals, i, descends);
      if (back.compareTo(CLOCK_CHANGE) > 0) {
        return; // the rows are in no order
      }
      if (back.isPositive() && found < 0) {
        found = i;
      }
    }
    if (found > 0) {
      throw refused(
          "lines %d and %d: the times of column %s go back, from %s to %s; if the clocks were put back, set series.time_zone, for example Europe/Berlin, or write offsets from UTC; if only the rows are out of order, set series.time_zone: UTC"
              .formatted(
                  times.get(found - 1).line(),
                  times.get(found).line(),
                  name(),
                  OneLine.quote(times.get(found - 1).text()),
                  OneLine.quote(times.get(found).text())));
    }
  }

  /// Returns the hint in a message about two rows of the same time.
  String doubtAboutClock() {
    return clock && !instants && zone() == null
        ? "; if the clocks were put back there, set series.time_zone, for example Europe/Berlin"
        : "";
  }

  private @Nullable ZoneId zone() {
    return config.timeZone().isEmpty() ? null : ZoneId.of(config.timeZone());
  }

  /// Writes times as the file does.
  TimeText text() {
    return new TimeText(this, style, zone(), pattern);
  }

  DateOrder dateOrder() {
    return order;
  }

  /// Returns whether a time of day is written anywhere.
  boolean hasClock() {
    return clock;
  }

  private String name() {
    return OneLine.of(config.timeColumn());
  }

  private InvalidInputException refused(String what) {
    return new InvalidInputException(OneLine.of(file) + ": " + what);
  }
}
