package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.files.AtomicFile;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/// Draws `loss.png`: the training loss, raw and smoothed, and the validation loss over it.
///
/// The axis ends a little above what is smoothed, so a single spike does not flatten the rest.
public final class LossPicture {
  private static final Color FAINT = new Color(0xC3, 0xD6, 0xEE);
  private static final Color TRAINING = new Color(0x2A, 0x62, 0xAC);
  private static final Color VALIDATION = new Color(0xD1, 0x49, 0x2E);
  private static final Color INK = new Color(0x33, 0x33, 0x33);
  private static final int FEW = 60; // validations that still get a dot each

  private LossPicture() {}

  static {
    if (System.getProperty("java.awt.headless") == null) {
      System.setProperty("java.awt.headless", "true"); // a picture needs no screen
    }
  }

  /// Draws 960 by 560 pixels.
  ///
  /// @param curves of the run, with [MetricNames#TRAIN_LOSS] and [MetricNames#VALIDATION_LOSS] or
  ///   without
  /// @param title such as the name of the run
  /// @throws InvalidInputException if the picture cannot be written
  public static void draw(Curves curves, String title, Path file) {
    draw(curves, title, "nats per token", file);
  }

  /// Draws 960 by 560 pixels.
  ///
  /// @param unit of the loss, such as `nats per token`
  /// @throws InvalidInputException if the picture cannot be written
  public static void draw(Curves curves, String title, String unit, Path file) {
    String axis = "loss, " + unit;
    XYChart chart =
        new XYChartBuilder()
            .width(960)
            .height(560)
            .title(OneLine.of(title))
            .xAxisTitle("optimizer step")
            .yAxisTitle(axis)
            .build();
    style(chart);
    @Nullable Curve training = drawable(curves.get(MetricNames.TRAIN_LOSS));
    @Nullable Curve validation = drawable(curves.get(MetricNames.VALIDATION_LOSS));
    var scale = new Scale(largest(training, validation));
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    double last = 1;
    if (training != null) {
      double[] smooth = addTraining(chart, training, scale);
      low = Arrays.stream(smooth).min().orElse(low);
      high = Arrays.stream(smooth).max().orElse(high);
      low = Math.max(scale.of(training.least()), low - 0.25 * (high - low));
      last = Math.max(last, training.step(training.size() - 1));
    }
    if (validation != null) {
      addValidation(chart, validation, scale);
      for (int i = 0; i < validation.size(); i++) {
        low = Math.min(low, scale.of(validation.low(i)));
        high = Math.max(high, scale.of(validation.mean(i)));
      }
      last = Math.max(last, validation.step(validation.size() - 1));
    }
    axes(chart, low, high, last, scale, axis);
    byte[] png = encode(chart);
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(png)));
  }

  /// Sets the ends of both axes, and as many decimals as tell the labels apart: XChart looks for
  /// labels that differ, and would never end where there are none.
  private static void axes(
      XYChart chart, double low, double high, double last, Scale scale, String axis) {
    var styler = chart.getStyler();
    styler.setXAxisMin(0.0).setXAxisMax(last);
    styler.setXAxisDecimalPattern(last < 20 ? "#,##0.##" : "#,##0");
    if (low > high) { // nothing to draw
      low = 0;
      high = 1;
    }
    double size = Math.max(Math.abs(low), Math.abs(high));
    double margin = Math.max(0.05 * (high - low), size == 0 ? 0.5 : 1e-3 * size);
    styler.setYAxisMin(low - margin).setYAxisMax(high + margin);
    double between = (high - low + 2 * margin) / 50; // less than the ticks are apart
    int decimals = (int) Math.clamp(Math.ceil(-Math.log10(between)), 1, 12);
    styler.setYAxisDecimalPattern("0.0" + "#".repeat(decimals - 1));
    if (scale.exponent() != 0) {
      chart.setYAxisTitle(axis + ", in units of 1e" + scale.exponent());
    }
  }

  private static @Nullable Curve drawable(@Nullable Curve curve) {
    return curve == null || curve.size() == 0 ? null : curve;
  }

  private static double largest(@Nullable Curve... curves) {
    double largest = 0;
    for (@Nullable Curve curve : curves) {
      for (int i = 0; curve != null && i < curve.size(); i++) {
        largest = Math.max(largest, Math.max(Math.abs(curve.low(i)), Math.abs(curve.high(i))));
      }
    }
    return largest;
  }

  /// Brings very large and very small losses to a size that can be drawn and labelled.
  ///
  /// @param exponent of ten of the unit; 0 for losses of a usual size
  private record Scale(int exponent) {
    private static final double LARGE = 1e5;
    private static final double SMALL = 1e-2;
    private static final int LIMIT = 300; // powers of ten beyond are no numbers

    Scale(double largest) {
      this(
          largest == 0 || (largest >= SMALL && largest < LARGE)
              ? 0
              : (int) Math.clamp(Math.floor(Math.log10(largest)), -LIMIT, LIMIT));
    }

    double of(double loss) {
      double scaled = loss * Math.pow(10, -exponent); // sums of the largest doubles are infinite
      return Math.clamp(Double.isNaN(scaled) ? 0 : scaled, -1e9, 1e9);
    }
  }

  private static void style(XYChart chart) {
    var styler = chart.getStyler();
    styler.setChartBackgroundColor(Color.WHITE);
    styler.setChartFontColor(INK);
    styler.setChartPadding(16);
    styler.setPlotBorderVisible(false);
    styler.setPlotGridVerticalLinesVisible(false);
    styler.setPlotGridLinesColor(new Color(0xE4, 0xE4, 0xE4));
    styler.setPlotGridLinesStroke(new BasicStroke(1));
    styler.setAxisTicksLineVisible(false);
    styler.setAxisTickLabelsColor(INK);
    styler.setAxisTickLabelsFont(new Font(Font.SANS_SERIF, Font.PLAIN, 14));
    styler.setLegendPosition(LegendPosition.InsideNE);
    styler.setLegendBorderColor(Color.WHITE);
    styler.setLegendFont(new Font(Font.SANS_SERIF, Font.PLAIN, 15));
    styler.setChartTitleFont(new Font(Font.SANS_SERIF, Font.BOLD, 18));
    styler.setAxisTitleFont(new Font(Font.SANS_SERIF, Font.PLAIN, 14));
    styler.setXAxisTickMarkSpacingHint(90);
  }

  private static double[] addTraining(XYChart chart, Curve curve, Scale scale) {
    var steps = new ArrayList<Double>();
    var ends = new ArrayList<Double>();
    var middles = new ArrayList<Double>();
    for (int i = 0; i < curve.size(); i++) {
      middles.add(curve.step(i));
      steps.add(curve.step(i));
      ends.add(scale.of(curve.low(i)));
      if (curve.high(i) > curve.low(i)) { // a bucket of several steps: a stroke from low to high
        steps.add(curve.step(i));
        ends.add(scale.of(curve.high(i)));
      }
    }
    steps.set(0, steps.getFirst() - 1e-3); // of evenly spaced data XChart labels odd places
    middles.set(0, middles.getFirst() - 1e-3);
    double[] smooth = Arrays.stream(curve.smooth()).map(scale::of).toArray();
    chart
        .addSeries("training, every step", steps, ends)
        .setMarker(SeriesMarkers.NONE)
        .setLineColor(FAINT)
        .setLineStyle(new BasicStroke(1));
    chart
        .addSeries("training, smoothed", middles, Arrays.stream(smooth).boxed().toList())
        .setMarker(SeriesMarkers.NONE)
        .setLineColor(TRAINING)
        .setLineStyle(new BasicStroke(2.5f));
    return smooth;
  }

  private static void addValidation(XYChart chart, Curve curve, Scale scale) {
    var steps = new ArrayList<Double>();
    var losses = new ArrayList<Double>();
    for (int i = 0; i < curve.size(); i++) {
      steps.add(curve.step(i));
      losses.add(scale.of(curve.mean(i)));
    }
    String name =
        String.format(
            Locale.ROOT,
            scale.exponent() == 0
                ? "validation, best %.4f at step %,d"
                : "validation, best %.4g at step %,d",
            curve.least(),
            curve.leastStep());
    chart
        .addSeries(name, steps, losses)
        .setMarker(curve.size() <= FEW ? SeriesMarkers.CIRCLE : SeriesMarkers.NONE)
        .setMarkerColor(VALIDATION)
        .setLineColor(VALIDATION)
        .setLineStyle(new BasicStroke(2));
  }

  private static byte[] encode(XYChart chart) {
    try {
      return BitmapEncoder.getBitmapBytes(chart, BitmapFormat.PNG);
    } catch (IOException e) {
      throw new UncheckedIOException("memory always takes bytes", e);
    }
  }
}
