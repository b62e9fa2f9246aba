package io.xlstm4j.runtime;

import java.util.List;

/// Text on its way to a reader, who must never see a stop string: holds back an end that may be the
/// beginning of one.
final class StopText {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private boolean stopped;

  StopText(List<String> stops) {
    this.stops = stops;
  }

  /// Adds text.
  ///
  /// @return what can be shown now
  String add(String text) {
    if (stops.isEmpty()) {
      return text;
    }
    held.append(text);
    int first = -1;
    for (String stop : stops) {
      int at = held.indexOf(stop);
      if (at >= 0 && (first < 0 || at < first)) {
        first = at;
      }
    }
    if (first >= 0) {
      stopped = true;
      String shown = held.substring(0, first);
      held.setLength(0);
      return shown;
    }
    int safe = held.length() - longestBeginning();
    String shown = held.substring(0, safe);
    held.delete(0, safe);
    return shown;
  }

  /// Characters at the end that a stop string begins with.
  private int longestBeginning() {
    int longest = 0;
    for (String stop : stops) {
      for (int n = Math.min(stop.length() - 1, held.length()); n > longest; n--) {
        if (stop.startsWith(held.substring(held.length() - n))) {
          longest = n;
        }
      }
    }
    return longest;
  }

  /// Returns whether a stop string came.
  boolean stopped() {
    return stopped;
  }

  /// Returns the text still held back, once nothing more comes.
  String rest() {
    String rest = held.toString();
    held.setLength(0);
    return rest;
  }
}
