package io.xlstm4j.bench;

import io.xlstm4j.core.InvalidInputException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Our measurements beside the peers', case by case.
///
/// @param rows one for each of our cases and each peer that measured it, in order of measurement
public record Comparison(List<Row> rows) {
  /// A key of a measurement of ours: the peers' case to put it beside, where that has another name.
  static final String BESIDE = "beside";

  /// @param name our case
  /// @param peer who else measured it
  /// @param peerMs median of the peer's times
  /// @param ms median of ours
  /// @param peerTokens tokens per second of the peer; null where none are counted
  /// @param tokens ours; likewise
  public record Row(
      String name,
      String peer,
      double peerMs,
      double ms,
      @Nullable Double peerTokens,
      @Nullable Double tokens) {
    /// Returns the peer's time divided by ours.
    public double ratio() {
      return peerMs / ms;
    }
  }

  public Comparison {
    rows = List.copyOf(rows);
  }

  /// Puts measurements of several rounds side by side; of each case the median over its rounds
  /// counts.
  public static Comparison of(List<Measurement> measurements) {
    Map<String, Map<String, List<Measurement>>> peers = new LinkedHashMap<>(); // by case, peer
    for (Measurement measurement : measurements) {
      peers
          .computeIfAbsent(measurement.name(), _ -> new LinkedHashMap<>())
          .computeIfAbsent(measurement.peer(), _ -> new ArrayList<>())
          .add(measurement);
    }
    var rows = new ArrayList<Row>();
    for (Map.Entry<String, Map<String, List<Measurement>>> entry : peers.entrySet()) {
      @Nullable List<Measurement> ours = entry.getValue().get(Measurement.OURS);
      if (ours == null) {
        continue;
      }
      String beside =
          ours.getFirst().details().getOrDefault(BESIDE, entry.getKey()) instanceof String other
              ? other
              : entry.getKey();
      peers
          .getOrDefault(beside, Map.of())
          .forEach((peer, theirs) -> {
            if (!peer.equals(Measurement.OURS)) {
              rows.add(row(entry.getKey(), peer, ours, theirs));
            }
          });
    }
    return new Comparison(rows);
  }

  private static Row row(
      String name, String peer, List<Measurement> ours, List<Measurement> theirs) {
    for (String size : List.of("B", "S", "D", "DH", "NH", "vocab", "blocks", "parameters", "M")) {
      @Nullable Double our = ours.getFirst().number(size);
      @Nullable Double their = theirs.getFirst().number(size);
      if (our != null && their != null && !our.equals(their)) {
        throw new InvalidInputException(
            String.format(
                Locale.ROOT,
                "%s: %s is %.0f here but %.0f at %s; only equal sizes compare",
                name,
                size,
                our,
                their,
                peer));
      }
    }
    return new Row(
        name, peer, median(theirs), median(ours), medianTokens(theirs), medianTokens(ours));
  }

  private static double median(List<Measurement> rounds) {
    return Timing.median(rounds.stream().map(Measurement::ms).toList());
  }

  private static @Nullable Double medianTokens(List<Measurement> rounds) {
    var rates = new ArrayList<Double>();
    for (Measurement round : rounds) {
      @Nullable Double rate = round.number("tokens_per_s");
      if (rate == null) {
        return null;
      }
      rates.add(rate);
    }
    return Timing.median(rates);
  }

  /// A table in Markdown.
  public String toMarkdown() {
    var table = new StringBuilder();
    table.append("| case | peer | peer, ms | xlstm4j, ms | peer, tokens/s | xlstm4j, tokens/s |");
    table.append(" ratio |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
    for (Row row : rows) {
      table.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %s | %s | %s | %s | %.2f |\n",
              row.name,
              row.peer,
              milliseconds(row.peerMs),
              milliseconds(row.ms),
              tokens(row.peerTokens),
              tokens(row.tokens),
              row.ratio()));
    }
    return table.toString();
  }

  private static String milliseconds(double ms) {
    return String.format(Locale.ROOT, ms < 100 ? "%.2f" : "%,.0f", ms);
  }

  private static String tokens(@Nullable Double perSecond) {
    return perSecond == null ? "-" : String.format(Locale.ROOT, "%,.0f", perSecond);
  }
}
