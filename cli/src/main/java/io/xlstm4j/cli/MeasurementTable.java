package io.xlstm4j.cli;

import io.xlstm4j.bench.Measurement;
import java.io.PrintWriter;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Measurements for people, printed as they come.
final class MeasurementTable {
  private static final String FORMAT = "%-53s %12s %11s %8s %7s %6s %8s %12s%n";

  private final PrintWriter out;
  private boolean begun;

  MeasurementTable(PrintWriter out) {
    this.out = out;
  }

  void print(Measurement measured) {
    if (!begun) {
      begun = true;
      out.printf(
          FORMAT,
          "case",
          "ms",
          "tokens/s",
          "GFLOP/s",
          "of gemm",
          "GB/s",
          "peak MiB",
          "over weights");
    }
    out.printf(
        FORMAT,
        measured.name(),
        String.format(Locale.ROOT, "%,.3f", measured.ms()),
        cell("%,.0f", measured.number("tokens_per_s"), 1),
        cell("%,.1f", measured.number("gflop_per_s"), 1),
        cell("%.0f %%", measured.number("share_of_gemm"), 100),
        cell("%.1f", rate(measured), 1),
        cell("%,.0f", measured.number("peak_rss_mib"), 1),
        cell("%,.0f", measured.number("over_weights_mib"), 1));
    out.flush();
  }

  private static @Nullable Double rate(Measurement measured) {
    @Nullable Double weights = measured.number("weight_gb_per_s");
    return weights == null ? measured.number("gb_per_s") : weights;
  }

  private static String cell(String format, @Nullable Double number, double factor) {
    return number == null ? "-" : String.format(Locale.ROOT, format, number * factor);
  }
}
