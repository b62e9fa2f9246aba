package io.xlstm4j.train.config;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.Check;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.RecordComponents;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.core.config.SequenceModelConfig.Pooling;
import io.xlstm4j.core.config.StrictBinder;
import java.time.DateTimeException;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.format.ResolverStyle;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// The data of a sequence model: columns of a CSV file, cut into windows.
///
/// @param file CSV with a header
/// @param targetColumns what is predicted
/// @param featureColumns what is read beside the past of the targets
/// @param timeColumn puts the rows of a series in order; empty for the order of the file
/// @param timeFormat pattern of [DateTimeFormatter] that times are read by; empty to recognise them
/// @param timeZone whose clock shows the times that have no offset; empty if no clock is changed
/// @param gaps what rows are that a regular step leaves out
/// @param idColumn says which series a row belongs to; empty for one long series
/// @param context rows of a window that are read
/// @param horizon rows after it that are predicted; 0 for the targets of its last row, which are
///   then no inputs
/// @param pooling where the head reads
/// @param loss of the predictions
/// @param quantiles levels of a quantile loss; nothing else reads them
/// @param classes of a cross entropy; nothing else reads it
/// @param scaling what values are divided by before the model sees them
/// @param missing what an empty field or NaN is
/// @param decimalMark between the whole part and the fraction of a number
/// @param validationFraction last part of each series, which is not trained on
public record SeriesConfig(
    String file,
    List<String> targetColumns,
    List<String> featureColumns,
    String timeColumn,
    String timeFormat,
    String timeZone,
    Gaps gaps,
    String idColumn,
    int context,
    int horizon,
    Pooling pooling,
    SequenceLossConfig.Kind loss,
    List<Double> quantiles,
    int classes,
    Scaling scaling,
    Missing missing,
    DecimalMark decimalMark,
    double validationFraction) {
  /// Defaults; file and columns stand for those of a user.
  private static final SeriesConfig DEFAULT =
      new SeriesConfig(
          "data.csv",
          List.of("value"),
          List.of(),
          "",
          "",
          "",
          Gaps.REPORT,
          "",
          64,
          1,
          Pooling.LAST,
          SequenceLossConfig.Kind.QUANTILE,
          List.of(0.1, 0.5, 0.9),
          0,
          Scaling.SERIES,
          Missing.ERROR,
          DecimalMark.POINT,
          0.2);

  /// The scaling of values to mean 0 and standard deviation 1.
  public enum Scaling {
    /// not at all
    NONE,
    /// by the training part of each series
    SERIES,
    /// by the context of each window
    WINDOW;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /// The treatment of missing values.
  public enum Missing {
    /// a reason to refuse the file
    ERROR,
    /// 0 with a further feature that is 1; as a target it counts for nothing
    MASK;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /// The treatment of gaps in a regular time step.
  public enum Gaps {
    /// not there; its neighbours are read one after the other, and a note says so
    REPORT,
    /// a row of missing values
    MASK,
    /// a reason to refuse the file
    ERROR;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /// The decimal mark of numbers.
  public enum DecimalMark {
    POINT,
    COMMA;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  public SeriesConfig {
    if (file.isBlank()) {
      throw new IllegalArgumentException(
          "file must be given: a CSV file with a header, with --data FILE or series.file");
    }
    targetColumns = List.copyOf(targetColumns);
    featureColumns = List.copyOf(featureColumns);
    quantiles = List.copyOf(quantiles);
    Check.positive("context", context);
    Check.notNegative("horizon", horizon);
    Check.inHalfOpenRange("validation_fraction", validationFraction, 0, 1);
    Check.positive("validation_fraction", validationFraction);
    if (targetColumns.isEmpty()) {
      throw new IllegalArgumentException(
          "target_columns ([]) must name at least one column, for example series.target_columns=[price]");
    }
    distinct("target_columns", targetColumns);
    distinct("feature_columns", featureColumns);
    checkTimes(timeColumn, timeFormat, timeZone, gaps, missing);
    if (scaling == Scaling.WINDOW && (horizon == 0 || pooling == Pooling.EVERY)) {
      throw new IllegalArgumentException(
          "scaling (window) needs a horizon above 0 and pooling last or mean: the mean of a window would tell what is to be predicted");
    }
    if (loss == SequenceLossConfig.Kind.QUANTILE) {
      checkQuantiles(quantiles);
    }
    lossConfig(loss, quantiles, classes);
    if (inputColumns(targetColumns, featureColumns, horizon, loss).isEmpty()) {
      throw new IllegalArgumentException(
          "feature_columns ([]) must name a column when the past of the targets is no input: at horizon 0, and for the loss cross_entropy");
    }
  }

  private static void checkQuantiles(List<Double> quantiles) {
    double last = 0;
    for (double quantile : quantiles) {
      if (!(quantile > last && quantile < 1)) {
        throw new IllegalArgumentException(
            "quantiles (%s) must rise and lie in (0, 1)".formatted(quantiles));
      }
      last = quantile;
    }
  }

  private static void distinct(String key, List<String> columns) {
    for (String column : columns) {
      if (column.isBlank() || columns.indexOf(column) != columns.lastIndexOf(column)) {
        throw new IllegalArgumentException(
            "%s (%s) must name each column once".formatted(key, columns));
      }
    }
  }

  private static void checkTimes(
      String column, String format, String zone, Gaps gaps, Missing missing) {
    if (column.isEmpty() && (!format.isEmpty() || !zone.isEmpty() || gaps != Gaps.REPORT)) {
      throw new IllegalArgumentException(
          "time_format (%s), time_zone (%s) and gaps (%s) need a time_column"
              .formatted(format, zone, gaps));
    }
    if (gaps == Gaps.MASK && missing != Missing.MASK) {
      throw new IllegalArgumentException(
          "gaps (mask) puts rows without values into gaps, which needs missing: mask");
    }
    try {
      if (!format.isEmpty()) {
        timePattern(format);
      }
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "time_format (%s) must be a pattern such as dd/MM/uuuu HH:mm: %s"
              .formatted(format, e.getMessage()),
          e);
    }
    try {
      if (!zone.isEmpty()) {
        ZoneId.of(zone);
      }
    } catch (DateTimeException e) {
      throw new IllegalArgumentException(
          "time_zone (%s) must be a zone such as Europe/Berlin, UTC or +02:00".formatted(zone), e);
    }
  }

  /// The pattern that times are read by; null if their form is to be recognised.
  public @Nullable DateTimeFormatter timePattern() {
    return timeFormat.isEmpty() ? null : timePattern(timeFormat);
  }

  /// Returns the formatter of a pattern; `y`, a year of an era, is read as `u`, since the era is
  /// not given.
  private static DateTimeFormatter timePattern(String pattern) {
    var years = new StringBuilder();
    boolean quoted = false;
    for (int i = 0; i < pattern.length(); i++) {
      char c = pattern.charAt(i);
      quoted ^= c == '\'';
      years.append(c == 'y' && !quoted ? 'u' : c);
    }
    return new DateTimeFormatterBuilder()
        .parseCaseInsensitive()
        .appendPattern(years.toString())
        .toFormatter(Locale.ENGLISH)
        .withResolverStyle(ResolverStyle.STRICT);
  }

  /// Binds keys that somebody stored; keys that are not there have their defaults.
  ///
  /// @param source where they come from, for messages
  /// @throws InvalidInputException for an unknown key, a wrong type or a refused value
  public static SeriesConfig of(ObjectNode keys, String source) {
    return StrictBinder.toRecord(
        StrictBinder.merge(defaults(), keys, source), SeriesConfig.class, source);
  }

  /// Returns the defaults for a file.
  ///
  /// @param file a CSV file
  /// @param targetColumns names of the columns to forecast, at least one
  public static SeriesConfig of(String file, String... targetColumns) {
    return DEFAULT.withFile(file).withTargetColumns(List.of(targetColumns));
  }

  /// Every key with its default; `file` and `target_columns` have none.
  static ObjectNode defaults() {
    ObjectNode tree = StrictBinder.toTree(DEFAULT);
    tree.put("file", "");
    tree.putArray("target_columns");
    return tree;
  }

  private static SequenceLossConfig lossConfig(
      SequenceLossConfig.Kind kind, List<Double> quantiles, int classes) {
    return new SequenceLossConfig(
        kind,
        kind == SequenceLossConfig.Kind.QUANTILE ? quantiles : List.of(),
        kind == SequenceLossConfig.Kind.CROSS_ENTROPY ? classes : 0);
  }

  /// The loss with the parameters that belong to it.
  public SequenceLossConfig lossConfig() {
    return lossConfig(loss, quantiles, classes);
  }

  /// Returns whether targets are classes.
  public boolean classifies() {
    return loss == SequenceLossConfig.Kind.CROSS_ENTROPY;
  }

  /// Columns that the model reads.
  public List<String> inputColumns() {
    return inputColumns(targetColumns, featureColumns, horizon, loss);
  }

  private static List<String> inputColumns(
      List<String> targets, List<String> features, int horizon, SequenceLossConfig.Kind loss) {
    var columns = new ArrayList<String>();
    if (horizon > 0 && loss != SequenceLossConfig.Kind.CROSS_ENTROPY) {
      columns.addAll(targets);
    }
    for (String feature : features) {
      if (!columns.contains(feature)) {
        columns.add(feature);
      }
    }
    return columns;
  }

  /// The model's F: input columns, and with them as many marks of missing values if there may be
  /// such.
  public int inputs() {
    return inputColumns().size() * (missing == Missing.MASK ? 2 : 1);
  }

  /// Rows predicted.
  public int steps() {
    return Math.max(1, horizon);
  }

  /// Numbers predicted of a window: step after step, target after target.
  public int outputs() {
    return steps() * targetColumns.size();
  }

  /// The model of this data.
  public SequenceModelConfig model(BlockStackConfig stack) {
    return new SequenceModelConfig(inputs(), outputs(), pooling, lossConfig(), stack);
  }

  public SeriesConfig withFeatureColumns(List<String> value) {
    return RecordComponents.with(this, "featureColumns", value);
  }

  public SeriesConfig withTimeColumn(String value) {
    return RecordComponents.with(this, "timeColumn", value);
  }

  public SeriesConfig withTimeFormat(String value) {
    return RecordComponents.with(this, "timeFormat", value);
  }

  public SeriesConfig withTimeZone(String value) {
    return RecordComponents.with(this, "timeZone", value);
  }

  public SeriesConfig withGaps(Gaps value) {
    return RecordComponents.with(this, "gaps", value);
  }

  public SeriesConfig withIdColumn(String value) {
    return RecordComponents.with(this, "idColumn", value);
  }

  public SeriesConfig withContext(int value) {
    return RecordComponents.with(this, "context", value);
  }

  public SeriesConfig withHorizon(int value) {
    return RecordComponents.with(this, "horizon", value);
  }

  public SeriesConfig withPooling(Pooling value) {
    return RecordComponents.with(this, "pooling", value);
  }

  public SeriesConfig withLoss(SequenceLossConfig.Kind value) {
    return RecordComponents.with(this, "loss", value);
  }

  public SeriesConfig withQuantiles(List<Double> value) {
    return RecordComponents.with(this, "quantiles", value);
  }

  public SeriesConfig withClasses(int value) {
    return RecordComponents.with(this, "classes", value);
  }

  public SeriesConfig withScaling(Scaling value) {
    return RecordComponents.with(this, "scaling", value);
  }

  public SeriesConfig withMissing(Missing value) {
    return RecordComponents.with(this, "missing", value);
  }

  public SeriesConfig withDecimalMark(DecimalMark value) {
    return RecordComponents.with(this, "decimalMark", value);
  }

  public SeriesConfig withValidationFraction(double value) {
    return RecordComponents.with(this, "validationFraction", value);
  }

  public SeriesConfig withFile(String value) {
    return RecordComponents.with(this, "file", value);
  }

  public SeriesConfig withTargetColumns(List<String> value) {
    return RecordComponents.with(this, "targetColumns", value);
  }
}
