package io.xlstm4j.train.series;

import io.xlstm4j.train.series.WrittenTime.Form;
import java.math.BigDecimal;
import java.time.DateTimeException;
import java.time.DayOfWeek;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.temporal.TemporalAdjusters;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// The step between the rows of a series, its gaps, and the times after its last row.
public final class TimeAxis {
  private static final BigDecimal DAY = BigDecimal.valueOf(86_400);
  private static final double TOLERANCE = 1e-6; // of a step: numbers such as 0.30000000000000004

  private final TimeColumn column;
  private final List<Moment> moments;
  private final @Nullable Step step;

  /// The unit of a time step.
  private enum Unit {
    MONTHS,
    NUMBER,
    SECONDS,
    /// seconds of the clock, which is put forward and back
    CLOCK,
    BUSINESS_DAYS
  }

  /// A regular step.
  ///
  /// @param missing rows that are not there after each row
  private record Step(Unit unit, BigDecimal size, int[] missing) {
    long total() {
      return Arrays.stream(missing).asLongStream().sum();
    }
  }

  /// @param moments in rising order
  TimeAxis(TimeColumn column, List<Moment> moments) {
    this.column = column;
    this.moments = moments;
    step = find();
  }

  private TimeAxis(TimeAxis of, Step step) {
    column = of.column;
    moments = of.moments;
    this.step = step;
  }

  /// The same with the step of another series, for one that is too short to have a step.
  TimeAxis withStepOf(TimeAxis other) {
    return step != null || other.step == null || moments.size() > 1
        ? this
        : new TimeAxis(this, new Step(other.step.unit, other.step.size, new int[1]));
  }

  /// Returns whether rows are a regular step apart, but for gaps.
  boolean isRegular() {
    return step != null;
  }

  /// Rows that are missing after a row.
  int missingAfter(int row) {
    return step == null ? 0 : step.missing[row];
  }

  Moment moment(int row) {
    return moments.get(row);
  }

  int size() {
    return moments.size();
  }

  /// The time of a row after the last one, as the file writes times.
  ///
  /// @param rows how many rows after it; 0 for the last row itself
  /// @return null if the step is not known, or no date is so late
  public @Nullable String timeAfter(int rows) {
    Moment last = moments.getLast();
    if (rows == 0) {
      return last.written().text();
    }
    if (step == null) {
      return null;
    }
    BigDecimal way = step.size.multiply(BigDecimal.valueOf(rows));
    try {
      LocalDateTime local = last.local();
      if (local == null) {
        return last.position().add(way).toPlainString();
      }
      return switch (step.unit) {
        case NUMBER, SECONDS -> column.text().text(last.position().add(way), last);
        case CLOCK ->
            column.text().text(TimeText.ofSeconds(TimeColumn.seconds(local).add(way)), last);
        case MONTHS -> column.text().text(monthsAfter(local, way.longValueExact()), last);
        case BUSINESS_DAYS -> {
          long day = businessDay(local.toLocalDate()) + way.longValueExact();
          LocalDate date =
              LocalDate.ofEpochDay(Math.floorDiv(day, 5) * 7 + Math.floorMod(day, 5) - 3);
          yield column.text().text(date.atTime(local.toLocalTime()), last);
        }
      };
    } catch (ArithmeticException | DateTimeException _) {
      return null;
    }
  }

  private LocalDateTime monthsAfter(LocalDateTime local, long months) {
    LocalDateTime then = local.plusMonths(months);
    boolean ends = moments.stream().allMatch(TimeAxis::isMonthEnd);
    return ends && column.form() != Form.MONTH && column.form() != Form.QUARTER
        ? then.with(TemporalAdjusters.lastDayOfMonth())
        : then;
  }

  // ---- the step

  private @Nullable Step find() {
    if (moments.size() < 2) {
      return null;
    }
    Step best = null;
    for (Unit unit : units()) {
      Step found = find(unit);
      if (found != null && (best == null || found.total() < best.total())) {
        best = found;
      }
    }
    if (best != null
        && best.unit == Unit.SECONDS
        && best.size.remainder(DAY).signum() == 0
        && column.form() != Form.NUMBER) {
      Step clock = find(Unit.CLOCK);
      return clock != null && clock.total() <= best.total() ? clock : best;
    }
    return best;
  }

  private List<Unit> units() {
    if (column.form() == Form.NUMBER) {
      return List.of(Unit.NUMBER);
    }
    if (column.form() == Form.MONTH || column.form() == Form.QUARTER) {
      return List.of(Unit.MONTHS);
    }
    var units = new ArrayList<Unit>();
    LocalDateTime first = local(0);
    if (moments.stream().allMatch(m -> localOf(m).toLocalTime().equals(first.toLocalTime()))) {
      boolean sameDay =
          moments.stream().allMatch(m -> localOf(m).getDayOfMonth() == first.getDayOfMonth());
      if (sameDay || moments.stream().allMatch(TimeAxis::isMonthEnd)) {
        units.add(Unit.MONTHS);
      }
      units.add(Unit.SECONDS);
      units.add(Unit.CLOCK);
      if (moments.stream().allMatch(TimeAxis::isWorkday)) {
        units.add(Unit.BUSINESS_DAYS);
      }
    } else {
      units.add(Unit.SECONDS);
      units.add(Unit.CLOCK);
    }
    return units;
  }

  private LocalDateTime local(int row) {
    return localOf(moments.get(row));
  }

  private static LocalDateTime localOf(Moment moment) {
    return Objects.requireNonNull(moment.local());
  }

  private static boolean isMonthEnd(Moment moment) {
    LocalDate day = localOf(moment).toLocalDate();
    return day.getDayOfMonth() == day.lengthOfMonth();
  }

  private static boolean isWorkday(Moment moment) {
    DayOfWeek day = localOf(moment).getDayOfWeek();
    return day != DayOfWeek.SATURDAY && day != DayOfWeek.SUNDAY;
  }

  /// Returns the number of a day from Monday to Friday, counted without weekends.
  private static long businessDay(LocalDate date) {
    long day = date.toEpochDay() + 3; // days since a Monday
    return Math.floorDiv(day, 7) * 5 + Math.floorMod(day, 7);
  }

  private BigDecimal place(Unit unit, Moment moment) {
    return switch (unit) {
      case NUMBER, SECONDS -> moment.position();
      case CLOCK -> TimeColumn.seconds(localOf(moment));
      case MONTHS -> BigDecimal.valueOf(TimeColumn.months(localOf(moment)));
      case BUSINESS_DAYS -> BigDecimal.valueOf(businessDay(localOf(moment).toLocalDate()));
    };
  }

  /// The most frequent difference, if every other one is a multiple of it.
  private @Nullable Step find(Unit unit) {
    int count = moments.size() - 1;
    var differences = new BigDecimal[count];
    var frequency = new HashMap<BigDecimal, Integer>();
    for (int i = 0; i < count; i++) {
      differences[i] =
          place(unit, moments.get(i + 1))
              .subtract(place(unit, moments.get(i)))
              .stripTrailingZeros();
      frequency.merge(differences[i], 1, Integer::sum);
    }
    BigDecimal size =
        frequency.entrySet().stream()
            .max(
                Map.Entry.<BigDecimal, Integer>comparingByValue()
                    .thenComparing(Map.Entry.<BigDecimal, Integer>comparingByKey().reversed()))
            .orElseThrow()
            .getKey();
    if (size.signum() <= 0) {
      return null;
    }
    int[] missing = new int[count + 1];
    double one = size.doubleValue();
    for (int i = 0; i < count; i++) {
      double steps = differences[i].doubleValue() / one;
      double whole = Math.rint(steps);
      if (whole < 1 || whole > Integer.MAX_VALUE || Math.abs(steps - whole) > TOLERANCE * whole) {
        return null;
      }
      missing[i] = (int) whole - 1;
    }
    if (size.scale() < 0) {
      size = size.setScale(0);
    }
    return new Step(unit, size, missing);
  }

  /// The step in words, such as `15 min` or `3 months`.
  String stepInWords() {
    if (step == null) {
      return "none";
    }
    BigDecimal size = step.size;
    return switch (step.unit) {
      case NUMBER -> size.toPlainString();
      case MONTHS -> {
        long months = size.longValue();
        yield months % 12 == 0
            ? counted(BigDecimal.valueOf(months / 12), "year")
            : counted(size, "month");
      }
      case BUSINESS_DAYS -> counted(size, "business day");
      case SECONDS, CLOCK -> {
        for (int unit : new int[] {86_400, 3600, 60}) {
          if (size.remainder(BigDecimal.valueOf(unit)).signum() == 0) {
            BigDecimal many = size.divide(BigDecimal.valueOf(unit));
            yield switch (unit) {
              case 86_400 -> counted(many, "day");
              case 3600 -> many.toPlainString() + " h";
              default -> many.toPlainString() + " min";
            };
          }
        }
        yield size.toPlainString() + " s";
      }
    };
  }

  private static String counted(BigDecimal count, String word) {
    return count.toPlainString() + " " + word + (count.compareTo(BigDecimal.ONE) == 0 ? "" : "s");
  }
}
