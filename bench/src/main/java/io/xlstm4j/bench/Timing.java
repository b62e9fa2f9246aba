package io.xlstm4j.bench;

import io.xlstm4j.core.Check;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// Times a piece of work: first run untimed, so that the virtual machine compiles it, then run and
/// timed one by one.
///
/// @param reps timed runs, at least
/// @param warmupSeconds how long it runs untimed, at least; at least twice unless this is 0
/// @param leastSeconds how long all timed runs together take, at least: short work runs more often
public record Timing(int reps, double warmupSeconds, double leastSeconds) {
  private static final int LEAST_WARMUPS = 2;

  public Timing {
    Check.positive("reps", reps);
    Check.notNegative("warmup", warmupSeconds);
    Check.notNegative("leastSeconds", leastSeconds);
  }

  /// @param ms median of the timed runs
  /// @param bestMs the shortest of them: far below the median if something disturbed the others
  /// @param reps timed runs
  /// @param warmups untimed runs before them
  public record Result(double ms, double bestMs, int reps, int warmups) {}

  /// Times `work`.
  public Result measure(Runnable work) {
    int warmups = 0;
    for (long end = System.nanoTime() + (long) (warmupSeconds * 1e9);
        warmupSeconds > 0 && (warmups < LEAST_WARMUPS || System.nanoTime() < end);
        warmups++) {
      work.run();
    }
    var times = new ArrayList<Double>();
    double all = 0;
    while (times.size() < reps || all < leastSeconds * 1e3) {
      long began = System.nanoTime();
      work.run();
      double ms = (System.nanoTime() - began) / 1e6;
      times.add(ms);
      all += ms;
    }
    return new Result(median(times), Collections.min(times), times.size(), warmups);
  }

  /// The middle value; of an even number, the mean of the two in the middle.
  static double median(List<Double> values) {
    var sorted = new ArrayList<>(values);
    Collections.sort(sorted);
    int middle = sorted.size() / 2;
    return sorted.size() % 2 == 1
        ? sorted.get(middle)
        : (sorted.get(middle - 1) + sorted.get(middle)) / 2;
  }
}
