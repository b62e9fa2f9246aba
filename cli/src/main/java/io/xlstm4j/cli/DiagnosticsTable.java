package io.xlstm4j.cli;

import io.xlstm4j.torch.Diagnostics;
import io.xlstm4j.torch.Diagnostics.Finding;
import io.xlstm4j.torch.Diagnostics.Row;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;

/// Prints the results of [Diagnostics] as a table that grows while it is computed: a row for each
/// calculation, a column for each way to compute it.
final class DiagnosticsTable {
  private static final int NAME = 28;
  private static final int COLUMN = 13;

  private final PrintWriter out;

  DiagnosticsTable(PrintWriter out) {
    this.out = out;
  }

  /// The checks to print.
  ///
  /// @param columns the places of computation, in the order in which findings come
  /// @param run computes the rows and passes each on as soon as it is known
  record Checks(List<String> columns, Consumer<Consumer<Row>> run) {
    static Checks of(Diagnostics diagnostics) {
      return new Checks(diagnostics.columns(), diagnostics::run);
    }
  }

  static String counted(int count, String what) {
    return count + " " + what + (count == 1 ? "" : "s");
  }

  /// @return whether every number is right
  boolean print(Checks checks) {
    List<String> columns = checks.columns();
    out.println("Largest difference of outputs, states and gradients from float64, relative; the");
    out.println("column float64 has its own gradients against finite differences:");
    var head = new StringBuilder(pad("", NAME));
    columns.forEach(column -> head.append(padLeft(column, COLUMN)));
    out.println(head.append(padLeft("bound", COLUMN)));
    out.flush();
    var wrong = new ArrayList<String>();
    checks
        .run()
        .accept(row -> {
          out.println(line(row, columns));
          out.flush();
          row.findings().stream()
              .filter(finding -> !finding.passed())
              .forEach(finding -> wrong.add(sentence(row, finding)));
        });
    wrong.forEach(out::println);
    out.flush();
    return wrong.isEmpty();
  }

  static String line(Row row, List<String> columns) {
    var line = new StringBuilder(pad(row.what(), NAME));
    for (String column : columns) {
      String cell =
          row.findings().stream()
              .filter(finding -> finding.where().equals(column))
              .map(f -> (f.passed() ? "" : "WRONG ") + number(f.difference()))
              .findFirst()
              .orElse("-");
      line.append(padLeft(cell, COLUMN));
    }
    return line.append(padLeft(number(row.allowed()), COLUMN)).toString();
  }

  static String sentence(Row row, Finding finding) {
    return "WRONG     %s on %s: %s differs by %s, allowed %s"
        .formatted(
            row.what(),
            finding.where(),
            finding.tensor(),
            number(finding.difference()),
            number(finding.allowed()));
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.0e", value);
  }

  private static String pad(String text, int width) {
    return text + " ".repeat(Math.max(0, width - text.length()));
  }

  private static String padLeft(String text, int width) {
    return " ".repeat(Math.max(1, width - text.length())) + text;
  }
}
