package io.xlstm4j.cli;

import io.xlstm4j.train.series.Forecaster;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Locale;
import java.util.SequencedMap;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `forecast`: what follows after the last row of each series, as CSV.
@Command(
    name = "forecast",
    description = "Forecast the series of a CSV file.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class ForecastCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "folder of a model that was trained on series")
  private Path model;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description = "CSV with the columns that the model was trained on")
  private Path data;

  @Option(
      names = "--device",
      converter = DeviceName.class,
      paramLabel = "NAME",
      description = "cpu, cuda or cuda:N")
  private String device = "cpu";

  @Option(
      names = "--compare-season",
      paramLabel = "N",
      description =
          "instead, compare on the last part of the file, which was not trained on, with the value N rows before")
  private @Nullable Integer season;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    try (var forecaster = Forecaster.open(model, device)) {
      if (season == null) {
        print(forecaster, out);
      } else {
        Forecaster.Comparison comparison = forecaster.compare(data, season);
        out.printf(
            Locale.ROOT,
            "windows=%d  targets=%d  skipped=%d%s%n",
            comparison.windows(),
            comparison.targets(),
            comparison.skipped(),
            comparison.skipped() == 0
                ? ""
                : " (targets without a value " + season + " rows or a multiple of them before)");
        out.println("model           " + shown(comparison.model()));
        out.println("seasonal naive  " + shown(comparison.seasonalNaive()));
      }
    }
    out.flush();
    return ExitCode.OK;
  }

  /// Columns `series` and `time` are there if the file has names of series and regular times.
  private void print(Forecaster forecaster, PrintWriter out) {
    var forecasts = forecaster.forecast(data); // may refuse the file, before anything is printed
    boolean named = !forecaster.config().idColumn().isEmpty();
    forecasts.notes().forEach(spec.commandLine().getErr()::println);
    out.println(
        (named ? "series," : "")
            + (forecasts.hasTimes() ? "time," : "")
            + "step,column,"
            + String.join(",", forecaster.names()));
    for (Forecaster.Forecast forecast : forecasts.forecasts()) {
      var fields = new ArrayList<String>();
      if (named) {
        fields.add(forecast.id());
      }
      if (forecasts.hasTimes()) {
        fields.add(String.valueOf(forecast.time()));
      }
      fields.add(Integer.toString(forecast.step()));
      fields.add(forecast.column());
      for (double value : forecast.values()) {
        fields.add(Double.isFinite(value) ? Double.toString(value) : "");
      }
      out.println(fields.stream().map(ForecastCommand::quoted).collect(Collectors.joining(",")));
    }
  }

  private static String quoted(String field) {
    return field.matches("[^\",\r\n]*") ? field : '"' + field.replace("\"", "\"\"") + '"';
  }

  private static String shown(SequencedMap<String, Double> measures) {
    if (measures.isEmpty()) {
      return "- (no target to compare on)";
    }
    return measures.entrySet().stream()
        .map(e -> e.getKey() + "=" + MeasureText.of(e.getValue()))
        .collect(Collectors.joining("  "));
  }
}
