package io.xlstm4j.train;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/// Draws `loss.png`: the training loss, faint and smoothed, and the validation loss over it.
final class LossPlot {
  private static final double SMOOTHING = 0.9;
  private static final Color FAINT = new Color(0xC6, 0xD4, 0xE8);
  private static final Color TRAINING = new Color(0x2F, 0x5D, 0x9B);
  private static final Color VALIDATION = new Color(0xD1, 0x49, 0x2E);

  private LossPlot() {}

  static {
    if (System.getProperty("java.awt.headless") == null) {
      System.setProperty("java.awt.headless", "true"); // a picture needs no screen
    }
  }

  /// @throws IOException if the picture cannot be written
  static void draw(List<MetricsCsv.Row> rows, Path file) throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(960)
            .height(560)
            .title("Loss")
            .xAxisTitle("optimizer step")
            .yAxisTitle("cross entropy, nats per token")
            .build();
    var styler = chart.getStyler();
    styler.setChartBackgroundColor(Color.WHITE);
    styler.setPlotBorderVisible(false);
    styler.setPlotGridLinesColor(new Color(0xE4, 0xE4, 0xE4));
    styler.setLegendPosition(LegendPosition.InsideNE);
    styler.setLegendBorderColor(Color.WHITE);
    styler.setChartTitleFont(new Font(Font.SANS_SERIF, Font.BOLD, 18));
    styler.setAxisTitleFont(new Font(Font.SANS_SERIF, Font.PLAIN, 14));
    styler.setXAxisMin(0.0);
    styler.setXAxisTickMarkSpacingHint(80);
    addTraining(chart, rows);
    addValidation(chart, rows);
    Path fresh = file.resolveSibling("." + file.getFileName() + ".new.png");
    try {
      BitmapEncoder.saveBitmap(chart, fresh.toString(), BitmapFormat.PNG);
      Files.move(fresh, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(fresh);
    }
  }

  private static void addTraining(XYChart chart, List<MetricsCsv.Row> rows) {
    var steps = new ArrayList<Double>();
    var losses = new ArrayList<Double>();
    var smooth = new ArrayList<Double>();
    double mean = 0;
    double weight = 0;
    for (MetricsCsv.Row row : rows) {
      if (row.loss().isPresent()) {
        double loss = row.loss().getAsDouble();
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
        weight = SMOOTHING * weight + (1 - SMOOTHING);
        steps.add((double) row.step());
        losses.add(loss);
        smooth.add(mean / weight); // corrected for the start at zero
      }
    }
    if (steps.isEmpty()) {
      return;
    }
    steps.set(0, steps.getFirst() - 1e-3); // of evenly spaced data XChart labels odd places
    var raw = chart.addSeries("training, each step", steps, losses);
    raw.setMarker(SeriesMarkers.NONE).setLineColor(FAINT).setLineStyle(new BasicStroke(1));
    var line = chart.addSeries("training, smoothed", steps, smooth);
    line.setMarker(SeriesMarkers.NONE).setLineColor(TRAINING).setLineStyle(new BasicStroke(2));
  }

  private static void addValidation(XYChart chart, List<MetricsCsv.Row> rows) {
    var validated = rows.stream().filter(row -> row.validationLoss().isPresent()).toList();
    if (validated.isEmpty()) {
      return;
    }
    chart
        .addSeries(
            "validation",
            validated.stream().map(row -> (double) row.step()).toList(),
            validated.stream().map(row -> row.validationLoss().getAsDouble()).toList())
        .setMarker(SeriesMarkers.CIRCLE)
        .setMarkerColor(VALIDATION)
        .setLineColor(VALIDATION)
        .setLineStyle(new BasicStroke(2));
  }
}
