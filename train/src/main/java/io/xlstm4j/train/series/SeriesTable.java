package io.xlstm4j.train.series;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// The series of a file.
///
/// @param series in the order in which they first appear
/// @param notes what a person should know about the file, a line each
/// @param dateOrder order of day and month in its dates; null if they do not leave it open
public record SeriesTable(List<Series> series, List<String> notes, @Nullable DateOrder dateOrder) {
  public SeriesTable {
    series = List.copyOf(series);
    notes = List.copyOf(notes);
  }
}
