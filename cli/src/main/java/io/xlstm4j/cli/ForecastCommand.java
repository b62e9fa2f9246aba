package io.xlstm4j.cli;

import io.xlstm4j.train.series.Forecaster;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
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

  @Option(names = "--device", paramLabel = "NAME", description = "cpu, cuda or cuda:N")
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
        out.println("windows=" + comparison.windows());
        out.println("model           " + shown(comparison.model()));
        out.println("seasonal naive  " + shown(comparison.seasonalNaive()));
      }
    }
    out.flush();
    return ExitCode.OK;
  }

  private void print(Forecaster forecaster, PrintWriter out) {
    var forecasts = forecaster.forecast(data); // may refuse the file, before anything is printed
    out.println("series,step,column," + String.join(",", forecaster.names()));
    for (Forecaster.Forecast forecast : forecasts) {
      String values =
          Arrays.stream(forecast.values())
              .mapToObj(value -> String.format(Locale.ROOT, "%.6g", value))
              .collect(Collectors.joining(","));
      out.printf(
          "%s,%d,%s,%s%n",
          quoted(forecast.id()), forecast.step(), quoted(forecast.column()), values);
    }
  }

  private static String quoted(String field) {
    return field.matches("[^\",\r\n]*") ? field : '"' + field.replace("\"", "\"\"") + '"';
  }

  private static String shown(SequencedMap<String, Double> measures) {
    return measures.entrySet().stream()
        .map(e -> String.format(Locale.ROOT, "%s=%.4f", e.getKey(), e.getValue()))
        .collect(Collectors.joining("  "));
  }
}
