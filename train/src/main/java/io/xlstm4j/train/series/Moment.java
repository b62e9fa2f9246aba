package io.xlstm4j.train.series;

import java.math.BigDecimal;
import java.time.LocalDateTime;
import org.jspecify.annotations.Nullable;

/// The time of a row.
///
/// @param position the number, seconds since 1970, or months since the year 0: what rows are sorted
///   by
/// @param local what the clock shows; null for a number
/// @param written as the file has it
record Moment(BigDecimal position, @Nullable LocalDateTime local, WrittenTime written) {}
