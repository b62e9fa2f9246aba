package io.xlstm4j.train.watch;

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
    XYChart chart =
        new XYChartBuilder()
            .width(960)
            .height(560)
            .title(OneLine.of(title))
            .xAxisTitle("optimizer step")
            .yAxisTitle("loss, nats per token")
            .build();
    style(chart);
    @Nullable Curve training = curves.get(MetricNames.TRAIN_LOSS);
    @Nullable Curve validation = curves.get(MetricNames.VALIDATION_LOSS);
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    if (training != null && training.size() > 0) {
      double[] smooth = addTraining(chart, training);
      low = Arrays.stream(smooth).min().orElse(low);
      high = Arrays.stream(smooth).max().orElse(high);
      low = Math.max(training.least(), low - 0.25 * (high - low));
    }
    if (validation != null && validation.size() > 0) {
      addValidation(chart, validation);
      for (int i = 0; i < validation.size(); i++) {
        low = Math.min(low, validation.low(i));
        high = Math.max(high, validation.mean(i));
      }
    }
    if (low <= high) {
      double margin = Math.max(0.05 * (high - low), 1e-3 * Math.abs(high) + 1e-9);
      chart.getStyler().setYAxisMin(low - margin).setYAxisMax(high + margin);
    }
    byte[] png = encode(chart);
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(png)));
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
    styler.setXAxisMin(0.0);
    styler.setXAxisTickMarkSpacingHint(90);
    styler.setYAxisDecimalPattern("0.0#");
    styler.setXAxisDecimalPattern("#,##0");
  }

  private static double[] addTraining(XYChart chart, Curve curve) {
    var steps = new ArrayList<Double>();
    var ends = new ArrayList<Double>();
    var middles = new ArrayList<Double>();
    for (int i = 0; i < curve.size(); i++) {
      middles.add(curve.step(i));
      steps.add(curve.step(i));
      ends.add(curve.low(i));
      if (curve.high(i) > curve.low(i)) { // a bucket of several steps: a stroke from low to high
        steps.add(curve.step(i));
        ends.add(curve.high(i));
      }
    }
    steps.set(0, steps.getFirst() - 1e-3); // of evenly spaced data XChart labels odd places
    middles.set(0, middles.getFirst() - 1e-3);
    double[] smooth = curve.smooth();
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

  private static void addValidation(XYChart chart, Curve curve) {
    var steps = new ArrayList<Double>();
    var losses = new ArrayList<Double>();
    for (int i = 0; i < curve.size(); i++) {
      steps.add(curve.step(i));
      losses.add(curve.mean(i));
    }
    String name =
        String.format(
            Locale.ROOT, "validation, best %.4f at step %,d", curve.least(), curve.leastStep());
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
