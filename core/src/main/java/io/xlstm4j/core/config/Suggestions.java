package io.xlstm4j.core.config;

import java.util.Comparator;
import java.util.List;

/// Guesses which known word was meant.
public final class Suggestions {
  private Suggestions() {}

  /// "did you mean x?", or the known words if none is near.
  public static String suggestion(String word, List<String> known) {
    return known.stream()
        .min(Comparator.comparingInt(candidate -> distance(word, candidate)))
        .filter(candidate -> distance(word, candidate) <= Math.max(2, word.length() / 3))
        .map(candidate -> "did you mean " + candidate + "?")
        .orElse("known here: " + String.join(", ", known));
  }

  /// Levenshtein distance.
  public static int distance(String a, String b) {
    int[] last = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      last[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int[] next = new int[b.length() + 1];
      next[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int change = last[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        next[j] = Math.min(change, 1 + Math.min(last[j], next[j - 1]));
      }
      last = next;
    }
    return last[b.length()];
  }
}
