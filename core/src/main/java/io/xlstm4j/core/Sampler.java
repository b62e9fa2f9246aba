package io.xlstm4j.core;

import java.nio.IntBuffer;
import java.util.BitSet;
import java.util.SplittableRandom;

/// Chooses the next token from logits. A pure function: the same arguments always give the same
/// token, and chance depends on seed, sequence and step only, so a sequence's text does not change
/// with its neighbours in a batch, nor with the order in which sequences are sampled. Safe for many
/// threads.
public final class Sampler {
  private final SamplerConfig config;

  /// A sampler for `config`.
  public Sampler(SamplerConfig config) {
    this.config = config;
  }

  /// Chooses one token. Of equally likely tokens the lower id comes first.
  ///
  /// @param logits one per id, natural-log scale, any constant added; read, never written. Minus
  ///   infinity means never.
  /// @param vocabLimit only ids below this are chosen; the rest of `logits` is padding and ignored
  /// @param history the ids seen so far, from position to limit, for the repetition penalty; read,
  ///   its position is never changed. Ids from `vocabLimit` on are ignored.
  /// @param row which sequence this is
  /// @param step which of its tokens this is
  /// @return an id in \[0, vocabLimit)
  /// @throws IllegalArgumentException if a logit is NaN or plus infinity, all are minus infinity,
  ///   an id in `history` is negative, or `vocabLimit` is not in \[1, logits.length]
  public int sample(float[] logits, int vocabLimit, IntBuffer history, long row, long step) {
    return sample(logits, vocabLimit, history, row, step, new Workspace());
  }

  /// The same with memory that is kept between calls, so that a token allocates next to nothing.
  ///
  /// @param workspace used by one call at a time
  public int sample(
      float[] logits, int vocabLimit, IntBuffer history, long row, long step, Workspace workspace) {
    requireUsable(logits, vocabLimit);
    workspace.fit(vocabLimit);
    penalize(logits, vocabLimit, history, workspace);
    double[] scores = workspace.scores;
    int best = argmax(scores);
    if (config.temperature() == 0) {
      return best;
    }
    double u = uniform(config.seed(), row, step);
    return filters()
        ? drawFiltered(workspace, scores[best], u)
        : drawFromAll(workspace, scores[best], u);
  }

  /// Memory for one call at a time.
  public static final class Workspace {
    private double[] scores = new double[0];
    private double[] weights = new double[0];
    private int[] ids = new int[0];
    private final BitSet seen = new BitSet();

    private void fit(int vocabLimit) {
      if (scores.length != vocabLimit) {
        scores = new double[vocabLimit];
        weights = new double[vocabLimit];
        ids = new int[vocabLimit];
      }
    }
  }

  private static void requireUsable(float[] logits, int vocabLimit) {
    if (vocabLimit < 1 || vocabLimit > logits.length) {
      throw new IllegalArgumentException(
          "vocabLimit (%d) must be from 1 to the number of logits (%d)"
              .formatted(vocabLimit, logits.length));
    }
    boolean any = false;
    for (int id = 0; id < vocabLimit; id++) {
      if (!(logits[id] < Float.POSITIVE_INFINITY)) { // NaN as well
        throw new IllegalArgumentException(
            "logit of id %d is %s; it must be a number or minus infinity"
                .formatted(id, logits[id]));
      }
      any |= logits[id] > Float.NEGATIVE_INFINITY;
    }
    if (!any) {
      throw new IllegalArgumentException(
          "all %d logits are minus infinity, so no token can be chosen".formatted(vocabLimit));
    }
  }

  /// Applies penalties in double, so that no penalty or temperature overflows a finite logit or
  /// makes new ties.
  private void penalize(float[] logits, int vocabLimit, IntBuffer history, Workspace workspace) {
    double[] scores = workspace.scores;
    for (int id = 0; id < vocabLimit; id++) {
      scores[id] = logits[id];
    }
    double penalty = config.repetitionPenalty();
    if (penalty == 1) {
      return;
    }
    BitSet seen = workspace.seen;
    seen.clear();
    for (int at = history.position(); at < history.limit(); at++) {
      int id = history.get(at);
      if (id < 0) {
        throw new IllegalArgumentException("history has the negative id " + id);
      }
      if (id < vocabLimit) {
        seen.set(id);
      }
    }
    for (int id = seen.nextSetBit(0); id >= 0; id = seen.nextSetBit(id + 1)) {
      if (scores[id] > Double.NEGATIVE_INFINITY) {
        double score = scores[id] > 0 ? scores[id] / penalty : scores[id] * penalty;
        // An extreme penalty could reach infinity, and infinity less infinity is NaN.
        scores[id] = Math.clamp(score, -Double.MAX_VALUE, Double.MAX_VALUE);
      }
    }
  }

  private static int argmax(double[] scores) {
    int best = 0;
    for (int id = 1; id < scores.length; id++) {
      if (scores[id] > scores[best]) {
        best = id;
      }
    }
    return best;
  }

  private boolean filters() {
    return config.topK() > 0 || config.topP() < 1 || config.minP() > 0;
  }

  private int drawFromAll(Workspace workspace, double best, double u) {
    double[] scores = workspace.scores;
    double[] weights = workspace.weights;
    double total = 0;
    for (int id = 0; id < scores.length; id++) {
      weights[id] = weight(scores[id], best);
      total += weights[id];
    }
    return draw(weights, scores.length, u * total);
  }

  /// All filters keep the head of the ranking and cut its tail, so the shortest head counts.
  private int drawFiltered(Workspace workspace, double best, double u) {
    double[] scores = workspace.scores;
    var ranking = new Ranking(scores, workspace.ids);
    int most = config.topK() == 0 ? scores.length : Math.min(config.topK(), scores.length);
    double enough = enough(scores, best, ranking, most);
    double[] weights = workspace.weights;
    double total = 0;
    int count = 0;
    while (count < most && total < enough) {
      double weight = weight(scores[ranking.id(count)], best);
      if (weight < config.minP() || weight == 0) { // never the first, whose weight is 1
        break;
      }
      weights[count++] = weight;
      total += weight;
    }
    return ranking.id(draw(weights, count, u * total));
  }

  /// The weight that top-p asks for: its share of what top-k left.
  private double enough(double[] scores, double best, Ranking ranking, int most) {
    if (config.topP() == 1) {
      return Double.POSITIVE_INFINITY;
    }
    double total = 0;
    for (int i = 0; i < most; i++) {
      total += weight(scores[most < scores.length ? ranking.id(i) : i], best);
    }
    return config.topP() * total;
  }

  /// Probability relative to the most likely token: 1 for that one, at most 1 for the others.
  private double weight(double score, double best) {
    return Math.exp((score - best) / config.temperature());
  }

  /// The index at which the running sum of the first `count` weights passes `target`.
  private static int draw(double[] weights, int count, double target) {
    double sum = 0;
    int last = 0;
    for (int i = 0; i < count; i++) {
      if (weights[i] > 0) {
        last = i;
        sum += weights[i];
        if (target < sum) {
          break;
        }
      }
    }
    return last; // also if rounding left the target at the very end
  }

  /// Evenly spread over \[0, 1).
  private static double uniform(long seed, long row, long step) {
    // Nested, not added: else (sequence 0, step 1) and (sequence 1, step 0) could share their
    // numbers.
    return new SplittableRandom(scrambled(scrambled(seed) + row) + step).nextDouble();
  }

  private static long scrambled(long value) {
    return new SplittableRandom(value).nextLong();
  }

  /// Ids by falling score, ties by rising id, sorted only as far as asked: a heap whose taken
  /// elements fill the array from its end.
  private static final class Ranking {
    private final double[] scores;
    private final int[] ids;
    private int heapSize;

    /// @param ids memory for as many ids as scores
    Ranking(double[] scores, int[] ids) {
      this.scores = scores;
      this.ids = ids;
      for (int id = 0; id < ids.length; id++) {
        ids[id] = id;
      }
      this.heapSize = ids.length;
      for (int parent = heapSize / 2 - 1; parent >= 0; parent--) {
        sink(parent);
      }
    }

    /// The id with `rank` better ones before it.
    int id(int rank) {
      int place = ids.length - 1 - rank;
      while (heapSize > place) {
        int top = ids[0];
        ids[0] = ids[--heapSize];
        ids[heapSize] = top;
        sink(0);
      }
      return ids[place];
    }

    private void sink(int start) {
      int parent = start;
      while (2 * parent + 1 < heapSize) {
        int child = 2 * parent + 1;
        if (child + 1 < heapSize && before(ids[child + 1], ids[child])) {
          child++;
        }
        if (!before(ids[child], ids[parent])) {
          return;
        }
        int id = ids[parent];
        ids[parent] = ids[child];
        ids[child] = id;
        parent = child;
      }
    }

    private boolean before(int a, int b) {
      return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
    }
  }
}
