package io.xlstm4j.train.series;

import java.util.Locale;

/// Order of day and month in dates that end in their year, such as 01/02/2026.
public enum DateOrder {
  DAY_FIRST,
  MONTH_FIRST;

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
