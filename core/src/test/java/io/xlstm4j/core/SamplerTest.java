package io.xlstm4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SamplerTest {
  private static final float NEVER = Float.NEGATIVE_INFINITY;
  private static final IntBuffer NOTHING = IntBuffer.allocate(0);

  /// Logits of the probabilities 1/2, 1/4, 1/8, 1/16, 1/16, in mixed order.
  private static final float[] HALVES = logits(0.125, 0.5, 0.0625, 0.25, 0.0625);

  private static float[] logits(double... probabilities) {
    float[] logits = new float[probabilities.length];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) Math.log(probabilities[i]) + 3; // any constant may be added
    }
    return logits;
  }

  private static SamplerConfig config(double temperature, int topK, double topP, double minP) {
    return new SamplerConfig(temperature, topK, topP, minP, 1, 42);
  }

  /// All ids that 2,000 steps choose.
  private static Set<Integer> reachable(SamplerConfig config, float[] logits, IntBuffer history) {
    var sampler = new Sampler(config);
    return IntStream.range(0, 2_000)
        .mapToObj(step -> sampler.sample(logits, logits.length, history, 0, step))
        .collect(Collectors.toCollection(TreeSet::new));
  }

  private static int greedy(float... logits) {
    return new Sampler(SamplerConfig.GREEDY).sample(logits, logits.length, NOTHING, 0, 0);
  }

  @Test
  void greedy_takes_the_largest_and_of_equal_ones_the_lowest_id() {
    assertThat(greedy(1, 3, 2)).isEqualTo(1);
    assertThat(greedy(1, 3, 3)).isEqualTo(1);
    assertThat(greedy(NEVER, NEVER, -1e30f)).isEqualTo(2);
    assertThat(greedy(0f, -0f)).isZero();
    assertThat(greedy(-0f, 0f)).isZero();
    assertThat(greedy(7)).isZero();
  }

  @ParameterizedTest(name = "k = {0}")
  @CsvSource(
      delimiter = '|',
      value = {"1 | 1", "2 | 1 3", "3 | 0 1 3", "4 | 0 1 2 3", "5 | 0 1 2 3 4", "99 | 0 1 2 3 4"})
  void top_k_keeps_the_k_most_likely_and_of_equal_ones_the_lowest_id(int k, String ids) {
    assertThat(reachable(config(1, k, 1, 0), HALVES, NOTHING)).isEqualTo(set(ids));
  }

  @ParameterizedTest(name = "p = {0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "1e-300 | 1",
        "0.49 | 1",
        "0.51 | 1 3",
        "0.74 | 1 3",
        "0.76 | 0 1 3",
        "0.88 | 0 1 2 3",
        "0.94 | 0 1 2 3 4",
        "1 | 0 1 2 3 4"
      })
  void top_p_keeps_the_smallest_set_that_reaches_p_and_at_least_one(double p, String ids) {
    assertThat(reachable(config(1, 0, p, 0), HALVES, NOTHING)).isEqualTo(set(ids));
  }

  @Test
  void top_p_is_reached_exactly_by_equal_halves() {
    float[] even = {0, 0, 0, 0}; // weights are exactly 1
    assertThat(reachable(config(1, 0, 0.5, 0), even, NOTHING)).isEqualTo(set("0 1"));
    assertThat(reachable(config(1, 0, 0.75, 0), even, NOTHING)).isEqualTo(set("0 1 2"));
    assertThat(reachable(config(1, 0, 0.7500001, 0), even, NOTHING)).isEqualTo(set("0 1 2 3"));
  }

  @ParameterizedTest(name = "p = {0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "0.999 | 1",
        "0.51 | 1",
        "0.49 | 1 3",
        "0.26 | 1 3",
        "0.24 | 0 1 3",
        "0.12 | 0 1 2 3 4"
      })
  void min_p_keeps_what_is_at_least_that_fraction_as_likely_as_the_best(double p, String ids) {
    assertThat(reachable(config(1, 0, 1, p), HALVES, NOTHING)).isEqualTo(set(ids));
  }

  @Test
  void top_p_looks_at_what_top_k_left() {
    // Of 1/2 and 1/4, the first has 2/3; of all, it has only 1/2.
    assertThat(reachable(config(1, 2, 0.6, 0), HALVES, NOTHING)).isEqualTo(set("1"));
    assertThat(reachable(config(1, 0, 0.6, 0), HALVES, NOTHING)).isEqualTo(set("1 3"));
  }

  @Test
  void temperature_comes_before_top_p_and_min_p() {
    // At temperature 1/2 the probabilities are squared: 64 16 4 1 1 of 86.
    assertThat(reachable(config(0.5, 0, 0.74, 0), HALVES, NOTHING)).isEqualTo(set("1"));
    assertThat(reachable(config(0.5, 0, 1, 0.2), HALVES, NOTHING)).isEqualTo(set("1 3"));
  }

  @Test
  void every_filter_equals_a_plain_full_sort() {
    var random = new Random(5);
    for (int round = 0; round < 500; round++) {
      int vocab = 1 + random.nextInt(40);
      float[] logits = new float[vocab];
      for (int id = 0; id < vocab; id++) {
        logits[id] = random.nextInt(10) == 0 ? NEVER : random.nextInt(8) / 2f; // many ties
      }
      logits[random.nextInt(vocab)] = 2;
      var config =
          config(
              0.2 + random.nextDouble(),
              random.nextInt(vocab + 2),
              random.nextBoolean() ? 1 : 1 - random.nextDouble(),
              random.nextBoolean() ? 0 : random.nextDouble());
      long row = random.nextLong();
      long step = random.nextLong();
      int[] allowed = allowedByFullSort(config, logits);
      int id = new Sampler(config).sample(logits, vocab, NOTHING, row, step);
      assertThat(allowed).as("%s %s", config, Arrays.toString(logits)).contains(id);
    }
  }

  /// The definition of the filters, written in the most direct way.
  private static int[] allowedByFullSort(SamplerConfig config, float[] logits) {
    int[] ids =
        IntStream.range(0, logits.length)
            .filter(id -> logits[id] > NEVER)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer id) -> -logits[id]).thenComparing(id -> id))
            .mapToInt(id -> id)
            .limit(config.topK() == 0 ? logits.length : config.topK())
            .toArray();
    double[] p =
        Arrays.stream(ids)
            .mapToDouble(id -> Math.exp((logits[id] - logits[ids[0]]) / config.temperature()))
            .toArray();
    double total = Arrays.stream(p).sum();
    double before = 0;
    int count = 0;
    // one part in 10^12 of slack: the order of a sum is not part of the definition
    while (count < ids.length
        && before < config.topP() * total * (1 + 1e-12)
        && p[count] >= config.minP()) {
      before += p[count++];
    }
    return Arrays.copyOf(ids, count);
  }

  @Test
  void the_penalty_divides_positive_and_multiplies_negative_logits_once_per_id() {
    var sampler = new Sampler(new SamplerConfig(0, 0, 1, 0, 2, 0));
    IntBuffer seen = IntBuffer.wrap(new int[] {0, 0, 0});
    assertThat(sampler.sample(new float[] {4, 1.9f}, 2, seen, 0, 0)).isZero(); // 2 > 1.9
    assertThat(sampler.sample(new float[] {4, 2.1f}, 2, seen, 0, 0)).isOne();
    assertThat(sampler.sample(new float[] {-1, -2.1f}, 2, seen, 0, 0)).isZero(); // -2 > -2.1
    assertThat(sampler.sample(new float[] {-1, -1.9f}, 2, seen, 0, 0)).isOne();
    assertThat(sampler.sample(new float[] {NEVER, -9}, 2, seen, 0, 0)).isOne();
  }

  @Test
  void only_the_given_part_of_the_history_counts_and_it_does_not_move() {
    var sampler = new Sampler(new SamplerConfig(0, 0, 1, 0, 2, 0));
    IntBuffer view = IntBuffer.wrap(new int[] {0, 1, 900, 0}, 1, 2); // 1 and a padding id
    assertThat(sampler.sample(new float[] {3, 4}, 2, view, 0, 0)).isZero();
    assertThat(view.position()).isEqualTo(1);
    assertThat(view.remaining()).isEqualTo(2);
    assertThatThrownBy(
            () -> sampler.sample(new float[] {3, 4}, 2, IntBuffer.wrap(new int[] {-1}), 0, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("history has the negative id -1");
  }

  @ParameterizedTest(name = "penalty {0}")
  @ValueSource(doubles = {Double.MIN_VALUE, 1e-300, 1e300, Double.MAX_VALUE})
  void extreme_penalties_and_temperatures_still_choose_a_token(double penalty) {
    float[] logits = {Float.MAX_VALUE, -Float.MAX_VALUE, 0, NEVER};
    IntBuffer seen = IntBuffer.wrap(new int[] {0, 1, 2, 3});
    for (double temperature : new double[] {0, Double.MIN_VALUE, 1e-300, 1, 1e300}) {
      var sampler = new Sampler(new SamplerConfig(temperature, 0, 0.9, 0.1, penalty, 7));
      assertThat(sampler.sample(logits, 4, seen, 0, 0)).isBetween(0, 2);
    }
  }

  @Test
  void ids_from_the_limit_on_are_padding() {
    float[] logits = {0, 0, 1000, Float.NaN};
    var sampler = new Sampler(config(1, 0, 1, 0));
    for (int step = 0; step < 1_000; step++) {
      assertThat(sampler.sample(logits, 2, NOTHING, 0, step)).isLessThan(2);
    }
  }

  @Test
  void the_logits_are_not_changed() {
    float[] logits = HALVES.clone();
    var config = new SamplerConfig(0.7, 3, 0.9, 0.1, 1.3, 1);
    new Sampler(config).sample(logits, 5, IntBuffer.wrap(new int[] {1, 2}), 0, 0);
    assertThat(logits).containsExactly(HALVES);
  }

  @Test
  void unusable_logits_are_refused() {
    assertRefused(2, "logit of id 1 is NaN; it must be a number or minus infinity", 0, Float.NaN);
    assertRefused(
        1,
        "logit of id 0 is Infinity; it must be a number or minus infinity",
        Float.POSITIVE_INFINITY);
    assertRefused(2, "all 2 logits are minus infinity, so no token can be chosen", NEVER, NEVER, 1);
    assertRefused(3, "vocabLimit (3) must be from 1 to the number of logits (2)", 0, 0);
    assertRefused(0, "vocabLimit (0) must be from 1 to the number of logits (2)", 0, 0);
  }

  private static void assertRefused(int vocabLimit, String message, float... logits) {
    for (var config : new SamplerConfig[] {SamplerConfig.GREEDY, config(1, 3, 0.5, 0.1)}) {
      assertThatThrownBy(() -> new Sampler(config).sample(logits, vocabLimit, NOTHING, 0, 0))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(message);
    }
  }

  @ParameterizedTest(name = "temperature {0}, k {1}, p {2}, min-p {3}")
  @CsvSource({
    "1, 0, 1, 0",
    "0.5, 0, 1, 0",
    "2, 0, 1, 0",
    "1, 3, 1, 0",
    "1, 0, 0.76, 0",
    "1, 0, 1, 0.2"
  })
  void the_frequencies_are_the_exact_probabilities(
      double temperature, int topK, double topP, double minP) {
    var config = config(temperature, topK, topP, minP);
    double[] expected = new double[HALVES.length];
    double total = 0;
    for (int id : allowedByFullSort(config, HALVES)) {
      expected[id] = Math.exp(HALVES[id] / temperature);
      total += expected[id];
    }
    int draws = 200_000;
    int[] counts = new int[expected.length];
    var sampler = new Sampler(config);
    for (int i = 0; i < draws; i++) {
      counts[sampler.sample(HALVES, HALVES.length, NOTHING, i % 7, i / 7)]++;
    }
    double chiSquare = 0;
    for (int id = 0; id < counts.length; id++) {
      double wanted = expected[id] / total * draws;
      if (wanted == 0) {
        assertThat(counts[id]).isZero();
      } else {
        chiSquare += (counts[id] - wanted) * (counts[id] - wanted) / wanted;
      }
    }
    // 99.9 % quantile for 4 degrees of freedom; fewer degrees have less
    assertThat(chiSquare).isLessThan(18.47);
  }

  @Test
  void neighbouring_rows_and_steps_are_independent() {
    var sampler = new Sampler(config(1, 0, 1, 0));
    float[] coin = {0, 0};
    int n = 100_000;
    int sameStep = 0;
    int sameRow = 0;
    int diagonal = 0;
    for (int i = 0; i < n; i++) {
      int here = sampler.sample(coin, 2, NOTHING, 5, i);
      sameStep += here == sampler.sample(coin, 2, NOTHING, 6, i) ? 1 : 0;
      sameRow += here == sampler.sample(coin, 2, NOTHING, 5, i + 1) ? 1 : 0;
      diagonal += here == sampler.sample(coin, 2, NOTHING, 4, i + 1) ? 1 : 0;
    }
    int fourSigma = (int) (4 * Math.sqrt(n) / 2);
    assertThat(sameStep).isBetween(n / 2 - fourSigma, n / 2 + fourSigma);
    assertThat(sameRow).isBetween(n / 2 - fourSigma, n / 2 + fourSigma);
    assertThat(diagonal).isBetween(n / 2 - fourSigma, n / 2 + fourSigma);
  }

  @Test
  void a_row_gets_the_same_tokens_in_any_order_and_from_another_sampler() {
    float[] even = new float[100];
    var config = config(1, 0, 1, 0);
    var one = new Sampler(config);
    int[] forward =
        IntStream.range(0, 50).map(step -> one.sample(even, 100, NOTHING, 3, step)).toArray();
    var other = new Sampler(config);
    for (int step = 49; step >= 0; step--) {
      other.sample(even, 100, NOTHING, 2, step); // a neighbour in the batch
      assertThat(other.sample(even, 100, NOTHING, 3, step)).isEqualTo(forward[step]);
    }
    var reseeded = new Sampler(new SamplerConfig(1, 0, 1, 0, 1, 43));
    int[] different =
        IntStream.range(0, 50).map(step -> reseeded.sample(even, 100, NOTHING, 3, step)).toArray();
    assertThat(different).isNotEqualTo(forward);
  }

  @Test
  void the_choice_is_the_same_in_every_version() {
    var sampler = new Sampler(new SamplerConfig(1, 0, 1, 0, 1, 42));
    float[] even = new float[1_000];
    int[] chosen =
        IntStream.range(0, 6).map(step -> sampler.sample(even, 1_000, NOTHING, 0, step)).toArray();
    assertThat(chosen).containsExactly(386, 712, 865, 169, 405, 916);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource({
    "temperature, -1, 0, 1, 0, 1",
    "temperature, NaN, 0, 1, 0, 1",
    "topK, 1, -1, 1, 0, 1",
    "topP, 1, 0, 0, 0, 1",
    "topP, 1, 0, 1.1, 0, 1",
    "minP, 1, 0, 1, 1, 1",
    "minP, 1, 0, 1, -0.1, 1",
    "repetitionPenalty, 1, 0, 1, 0, 0",
    "repetitionPenalty, 1, 0, 1, 0, Infinity"
  })
  void a_config_out_of_range_names_the_value(
      String name, double temperature, int topK, double topP, double minP, double penalty) {
    assertThatThrownBy(() -> new SamplerConfig(temperature, topK, topP, minP, penalty, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(name + " (");
  }

  private static Set<Integer> set(String ids) {
    return Arrays.stream(ids.split(" "))
        .map(Integer::valueOf)
        .collect(Collectors.toCollection(TreeSet::new));
  }
}
