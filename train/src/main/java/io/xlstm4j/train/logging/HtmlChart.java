package io.xlstm4j.train.logging;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// A chart as a `figure`: lines in an inline SVG that stretches with the page, labels in HTML
/// around it, so that letters keep their size on any screen. The points stand in an attribute too,
/// for the script that shows them under the pointer.
final class HtmlChart {
  private static final int WIDE = 1000; // units of the SVG, stretched to the page
  private static final int TICKS = 5;
  private static final double LARGEST = 1e300;
  private static final double SPIKES = 0.01; // share of buckets that may stick out at the top

  private final String title;
  private final String unit;
  private final boolean large;
  private final List<Line> lines = new ArrayList<>();

  /// @param curve what is drawn
  /// @param smooth whether a smoothed line lies over the band from least to greatest
  private record Line(String name, Curve curve, boolean smooth, boolean dots) {}

  HtmlChart(String title, String unit, boolean large) {
    this.title = title;
    this.unit = unit;
    this.large = large;
  }

  /// Adds a line; none if the curve is missing or empty.
  HtmlChart line(String name, @Nullable Curve curve, boolean smooth) {
    if (curve != null && curve.size() > 0) {
      boolean dots = !smooth && curve.size() <= 40 && (large || curve.size() == 1);
      lines.add(new Line(name, curve, smooth, dots));
    }
    return this;
  }

  boolean isEmpty() {
    return lines.isEmpty();
  }

  /// The figure; nothing if there are no lines.
  String html(long lastStep) {
    if (isEmpty()) {
      return "";
    }
    double right = Math.max(1, lastStep);
    double[] range = range();
    double[] ticks = ticks(range[0], range[1]);
    var out = new StringBuilder();
    out.append("<figure class=\"chart").append(large ? " large" : "").append("\">\n");
    out.append("<figcaption><b>").append(Html.escape(title)).append("</b>");
    if (!unit.isEmpty()) {
      out.append(" <span class=\"muted\">").append(Html.escape(unit)).append("</span>");
    }
    if (lines.size() > 1) {
      for (int i = 0; i < lines.size(); i++) {
        out.append("<span class=\"key\"><i class=\"c").append(i + 1).append("\"></i>");
        out.append(Html.escape(lines.get(i).name())).append("</span>");
      }
    }
    out.append("</figcaption>\n<div class=\"plot\" data-last=\"").append((long) right);
    out.append("\" data-low=\"").append(range[0]).append("\" data-high=\"").append(range[1]);
    out.append("\" data-lines=\"").append(Html.escape(points())).append("\">\n");
    for (double tick : ticks) {
      out.append(
          format(
              "<span class=\"y\" style=\"bottom:%.2f%%\">%s</span>",
              100 * (tick - range[0]) / (range[1] - range[0]), label(tick, ticks)));
    }
    double[] steps = ticks(0, right);
    for (double step : steps) {
      double at = 100 * step / right;
      out.append(
          format(
              "<span class=\"x%s\" style=\"left:%.2f%%\">%s</span>",
              at > 94 ? " end" : "",
              at,
              step < 100_000 ? NumberFormats.digits(step) : NumberFormats.count(step)));
    }
    out.append("<span class=\"unit\">step</span>");
    out.append(
        "\n<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    for (double tick : ticks) {
      out.append(format("<path class=\"grid\" d=\"M0 %.1fH1000\"/>", y(tick, range)));
    }
    for (int i = 0; i < lines.size(); i++) {
      draw(out, lines.get(i), i + 1, right, range);
    }
    out.append("</svg>\n<div class=\"at\" hidden></div><div class=\"tip\" hidden></div></div>\n");
    for (Line line : lines) {
      if (line.curve().nonFinite() > 0) {
        out.append(
            format(
                "<p class=\"warn\">%s: %,d values were NaN or infinite, the first at step %,d.</p>\n",
                Html.escape(line.name()), line.curve().nonFinite(), line.curve().firstNonFinite()));
      }
    }
    return out.append("</figure>\n").toString();
  }

  private static void draw(StringBuilder out, Line line, int number, double right, double[] range) {
    Curve curve = line.curve();
    int size = curve.size();
    double[] middle = new double[size];
    Arrays.setAll(middle, curve::mean);
    boolean banded = false;
    for (int i = 0; i < size; i++) {
      banded |= curve.high(i) > curve.low(i);
    }
    if (banded) {
      var band = new StringBuilder();
      for (int i = 0; i < size; i++) {
        band.append(point(i == 0 ? 'M' : 'L', curve.step(i), curve.high(i), right, range));
      }
      for (int i = size - 1; i >= 0; i--) {
        band.append(point('L', curve.step(i), curve.low(i), right, range));
      }
      out.append(format("<path class=\"band c%d\" d=\"%sZ\"/>", number, band));
    } else if (line.smooth()) {
      out.append(
          format("<path class=\"raw c%d\" d=\"%s\"/>", number, path(curve, middle, right, range)));
    }
    double[] drawn = line.smooth() ? curve.smooth() : middle;
    out.append(
        format("<path class=\"line c%d\" d=\"%s\"/>", number, path(curve, drawn, right, range)));
    if (line.dots()) {
      var dots =
          new StringBuilder(); // round ends of strokes without length stay round when stretched
      for (int i = 0; i < size; i++) {
        dots.append(point('M', curve.step(i), middle[i], right, range)).append("h0");
      }
      out.append(format("<path class=\"dots c%d\" d=\"%s\"/>", number, dots));
    }
  }

  private static String path(Curve curve, double[] values, double right, double[] range) {
    var path = new StringBuilder();
    for (int i = 0; i < values.length; i++) {
      path.append(point(i == 0 ? 'M' : 'L', curve.step(i), values[i], right, range));
    }
    return path.toString();
  }

  private static String point(char how, double step, double value, double right, double[] range) {
    return how + tenth(WIDE * step / right) + " " + tenth(y(value, range));
  }

  private static double y(double value, double[] range) {
    double y = WIDE * (range[1] - value) / (range[1] - range[0]);
    return Math.clamp(y, -WIDE, 2.0 * WIDE); // what sticks out is cut off by the SVG's edge
  }

  /// With one digit behind the point: faster than a format, for tens of thousands of points.
  private static String tenth(double value) {
    long tenths = Math.round(value * 10);
    return tenths % 10 == 0 ? Long.toString(tenths / 10) : Double.toString(tenths / 10.0);
  }

  /// The values' range with some room; single spikes at the top are left out.
  private double[] range() {
    double low = Double.POSITIVE_INFINITY;
    double high = Double.NEGATIVE_INFINITY;
    for (Line line : lines) {
      low = Math.min(low, line.curve().least());
      high = Math.max(high, line.curve().highWithoutSpikes(line.smooth() ? SPIKES : 0));
      if (line.smooth()) {
        high = Math.max(high, Arrays.stream(line.curve().smooth()).max().orElse(high));
      }
    }
    low = Math.clamp(low, -LARGEST, LARGEST); // so that the range is a number
    high = Math.clamp(high, -LARGEST, LARGEST);
    double margin = Math.max(0.04 * (high - low), 1e-3 * Math.max(Math.abs(high), 1e-9));
    if (low >= 0 && low < 0.3 * high) {
      return new double[] {0, high + margin};
    }
    return new double[] {low - margin, high + margin};
  }

  /// Round numbers from `low` to `high`, about five.
  static double[] ticks(double low, double high) {
    double raw = (high - low) / TICKS;
    double power = Math.pow(10, Math.floor(Math.log10(raw)));
    double times = raw / power;
    double step = power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
    var ticks = new ArrayList<Double>();
    for (long i = (long) Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) {
      ticks.add(i * step);
    }
    return ticks.stream().mapToDouble(Double::doubleValue).toArray();
  }

  /// With as many decimals as tell the ticks apart.
  private static String label(double tick, double[] ticks) {
    double step = ticks.length > 1 ? ticks[1] - ticks[0] : Math.abs(tick);
    double top = Math.abs(ticks[ticks.length - 1]);
    if (top >= 100_000) {
      return tick < 0 ? "-" + NumberFormats.count(-tick) : NumberFormats.count(tick);
    }
    if (top > 0 && top < 0.01) {
      return tick == 0 ? "0" : String.format(Locale.ROOT, "%.1e", tick).replace("e-0", "e-");
    }
    int decimals = step <= 0 ? 0 : (int) Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
    return String.format(Locale.ROOT, "%,." + Math.min(decimals, 6) + "f", tick);
  }

  /// `[["name", 1 if smoothed, [step, value, low, high, ...]], ...]`
  private String points() {
    var json = new StringBuilder("[");
    for (Line line : lines) {
      Curve curve = line.curve();
      double[] smooth = line.smooth() ? curve.smooth() : new double[0];
      json.append(json.length() > 1 ? ",[\"" : "[\"").append(line.name()).append("\",[");
      for (int i = 0; i < curve.size(); i++) {
        double value = line.smooth() ? smooth[i] : curve.mean(i);
        json.append(i == 0 ? "" : ",").append(Math.round(curve.step(i))).append(',');
        json.append(narrow(value)).append(',');
        json.append(narrow(curve.low(i))).append(',').append(narrow(curve.high(i)));
      }
      json.append("]]");
    }
    return json.append(']').toString();
  }

  /// As JSON can hold it: finite.
  private static float narrow(double value) {
    return Double.isNaN(value) ? 0 : (float) Math.clamp(value, -Float.MAX_VALUE, Float.MAX_VALUE);
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
