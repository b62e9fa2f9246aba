package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.config.SeriesConfig.Gaps;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Looks for gaps in the times of the series of a file, and decides by `series.gaps` what follows.
final class SeriesGaps {
  private static final long FREE_ROWS = 10_000; // that may be put into gaps of any file

  private final Path file;
  private final SeriesConfig config;
  private final Map<String, TimeAxis> axes = new LinkedHashMap<>();
  private final @Nullable String note;

  /// @throws InvalidInputException if there are gaps that `series.gaps` does not take
  SeriesGaps(Path file, SeriesConfig config, Map<String, TimeAxis> found) {
    this.file = file;
    this.config = config;
    TimeAxis model = found.values().stream().filter(TimeAxis::isRegular).findFirst().orElse(null);
    found.forEach((id, axis) -> axes.put(id, model == null ? axis : axis.withStepOf(model)));
    note = look();
  }

  TimeAxis axis(String id) {
    TimeAxis axis = axes.get(id);
    if (axis == null) {
      throw new IllegalArgumentException("series (" + id + ") was not read");
    }
    return axis;
  }

  List<String> notes() {
    return note == null ? List.of() : List.of(note);
  }

  private @Nullable String look() {
    long rows = 0;
    long missing = 0;
    long gaps = 0;
    String first = "";
    for (Map.Entry<String, TimeAxis> entry : axes.entrySet()) {
      TimeAxis axis = entry.getValue();
      rows += axis.size();
      if (!axis.isRegular() && axis.size() > 1) {
        return irregular(entry.getKey());
      }
      for (int row = 0; row < axis.size(); row++) {
        int here = axis.missingAfter(row);
        missing += here;
        if (here > 0 && gaps++ == 0) {
          WrittenTime before = axis.moment(row).written();
          first =
              "the first after line %d (%s), where the step is %s"
                  .formatted(before.line(), OneLine.quote(before.text()), axis.stepInWords());
        }
      }
    }
    if (gaps == 0) {
      return null;
    }
    String found =
        String.format(
            Locale.ROOT,
            "%s: the times of column %s have %,d %s, %,d %s missing, %s",
            OneLine.of(file),
            OneLine.of(config.timeColumn()),
            gaps,
            gaps == 1 ? "gap" : "gaps",
            missing,
            missing == 1 ? "row is" : "rows are",
            first);
    if (config.gaps() == Gaps.ERROR) {
      throw new InvalidInputException(found + "; fill them, or set series.gaps: report or mask");
    }
    if (config.gaps() == Gaps.MASK && missing > FREE_ROWS + 10 * rows) {
      throw new InvalidInputException(
          found + ", too many to be read as missing values; is a time wrong?");
    }
    return found
        + (config.gaps() == Gaps.MASK
            ? "; they are read as missing values"
            : "; rows on both sides are read as neighbours, unless series.gaps is mask or error");
  }

  private @Nullable String irregular(String id) {
    String found =
        "%s: the times of column %s%s are no regular step apart"
            .formatted(
                OneLine.of(file),
                OneLine.of(config.timeColumn()),
                id.isEmpty() ? "" : " in series " + OneLine.of(id));
    if (config.gaps() != Gaps.REPORT) {
      throw new InvalidInputException(
          found + ", so there are no gaps to find; set series.gaps: report");
    }
    return found + "; rows are read as neighbours, and forecasts have no times";
  }
}
