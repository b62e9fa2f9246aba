package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.config.SeriesConfig.DecimalMark;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;

/// Reads the numbers of a file: decimal ones, and the spellings of a missing value.
final class DecimalNumbers {
  private static final Set<String> MISSING =
      Set.of("", "na", "n/a", "#n/a", "nan", "null", "none", "?");
  private static final Pattern DECIMAL =
      Pattern.compile("[+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?");
  private static final Pattern WITH_COMMA = Pattern.compile("[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?");
  private static final Pattern GROUPED =
      Pattern.compile("[+-]?[0-9]{1,3}([,.'\\s\u00A0\u202F][0-9]{3})+([.,][0-9]+)?");
  private static final Pattern INFINITE = Pattern.compile("(?i)[+-]?inf(inity)?");

  private final Path file;
  private final SeriesConfig config;

  DecimalNumbers(Path file, SeriesConfig config) {
    this.file = file;
    this.config = config;
  }

  /// Reads a field.
  ///
  /// @return NaN for a missing value, if `series.missing` takes such
  /// @throws InvalidInputException if it is no decimal number, or one that cannot be kept
  double read(String field, String column, long line) {
    if (MISSING.contains(field.toLowerCase(Locale.ROOT))) {
      if (config.missing() == SeriesConfig.Missing.ERROR) {
        throw refused(
            line, "column %s has no value; fill it in, or set series.missing: mask", column);
      }
      return Double.NaN;
    }
    boolean comma = config.decimalMark() == DecimalMark.COMMA;
    String text = comma && field.indexOf('.') < 0 ? field.replace(',', '.') : field;
    if ((comma && field.indexOf('.') >= 0) || !DECIMAL.matcher(text).matches()) {
      throw refused(
          line,
          "column %s must be %s, but is %s%s",
          column,
          isClass(column) ? classes() : "a number",
          OneLine.quote(field),
          hint(field));
    }
    double value = Double.parseDouble(text);
    if (Double.isInfinite(value) || (value == 0 && hasDigit(text))) {
      throw refused(
          line,
          "column %s is %s, which is too %s for a number of 64 bits",
          column,
          OneLine.quote(field),
          value == 0 ? "small" : "large");
    }
    if (isClass(column)) {
      if (value != Math.rint(value) || value < 0 || value >= config.classes()) {
        throw refused(
            line, "column %s must be %s, but is %s", column, classes(), OneLine.quote(field));
      }
    } else if (config.scaling() == SeriesConfig.Scaling.NONE && value != 0) {
      float narrow = (float) value;
      if (Float.isInfinite(narrow) || narrow == 0) {
        throw refused(
            line,
            "column %s is %s, which float32 cannot hold; set series.scaling: series or window",
            column,
            OneLine.quote(field));
      }
    }
    return value;
  }

  private boolean isClass(String column) {
    return config.classifies() && config.targetColumns().contains(column);
  }

  private String classes() {
    return "a class in [0, " + config.classes() + ")";
  }

  /// Returns whether a digit before the exponent is not 0.
  private static boolean hasDigit(String text) {
    for (int i = 0; i < text.length() && "eE".indexOf(text.charAt(i)) < 0; i++) {
      if (text.charAt(i) >= '1' && text.charAt(i) <= '9') {
        return true;
      }
    }
    return false;
  }

  private String hint(String field) {
    if (INFINITE.matcher(field).matches()) {
      return "; an infinite value cannot be learnt, leave it empty with series.missing: mask";
    }
    if (config.decimalMark() == DecimalMark.POINT && WITH_COMMA.matcher(field).matches()) {
      return "; if the comma is a decimal mark, set series.decimal_mark: comma";
    }
    return GROUPED.matcher(field).matches() ? "; write it without thousands separators" : "";
  }

  private InvalidInputException refused(long line, String format, Object... values) {
    return new InvalidInputException(
        "%s: line %d: %s".formatted(OneLine.of(file), line, format.formatted(values)));
  }
}
