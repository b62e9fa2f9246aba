package io.xlstm4j.text;

import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A task over symbols with one right answer, to see what a model can track.
///
/// Deletang et al. 2023, arXiv:2207.02098, in the token layout of the experiments of xLSTM: token 0
/// is padding, a sample is `size` tokens x_1 .. x_size, and the last one is the answer.
///
/// @param minLength smallest size of a sample, the answer included
/// @param maxLength largest size; sizes are uniform between the two. Terms of modular arithmetic
///   have odd sizes: an even bound stands for the size one below
/// @param vocabSize V, padding included
public record FormalLanguage(Task task, int minLength, int maxLength, int vocabSize) {
  private static final Pattern SPEC =
      Pattern.compile("([a-z_]+):(\\d{1,7})-(\\d{1,7})(?::(\\d{1,4}))?");
  private static final int MAX_STEP = 1; // M of cycle navigation

  /// The task; x are the tokens before the answer.
  public enum Task {
    /// Returns whether the ones are odd: (Σ (x - 1) mod (V - 1)) + 1.
    PARITY(3, 2, 3),
    /// Returns whether the first and the last symbol differ: |x_last - x_first| + 1.
    EVEN_PAIRS(3, 2, 3),
    /// Returns the place on a circle of V - 4 places after steps of 0 (token 1), +1 (2) and -1 (3):
    /// (Σ mod (V - 4)) + 4.
    CYCLE_NAVIGATION(10, 2, 6),
    /// Returns the value of a term of numbers (tokens from 5, for 0 and on) with + - * (1, 2, 3)
    /// and = (4) is modulo V - 5, plus 5; `*` binds tighter.
    MODULAR_ARITHMETIC(10, 3, 7);

    private final int defaultVocab;
    private final int smallestSize;
    private final int smallestVocab;

    Task(int defaultVocab, int smallestSize, int smallestVocab) {
      this.defaultVocab = defaultVocab;
      this.smallestSize = smallestSize;
      this.smallestVocab = smallestVocab;
    }

    /// V of the experiments.
    public int defaultVocab() {
      return defaultVocab;
    }

    int smallestVocab() {
      return smallestVocab;
    }

    /// As it stands in a description: `even_pairs`.
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /// One sample.
  ///
  /// @param tokens x_1 .. x_{size - 1}
  /// @param answer x_size
  public record Sample(int[] tokens, int answer) {}

  public FormalLanguage {
    if (minLength < task.smallestSize || maxLength < minLength) {
      throw new InvalidTextException(
          "%s:%d-%d: lengths must be at least %d and must not fall"
              .formatted(task, minLength, maxLength, task.smallestSize));
    }
    int largest = SymbolTokenizer.largestVocab(task);
    if (vocabSize < task.smallestVocab || vocabSize > largest) {
      throw new InvalidTextException(
          "%s: vocabulary size (%d) must be in [%d, %d]"
              .formatted(task, vocabSize, task.smallestVocab, largest));
    }
  }

  /// Returns whether a description of a corpus means one of these: its part before a colon is a
  /// task.
  public static boolean names(String spec) {
    int colon = spec.indexOf(':');
    return colon > 0
        && Arrays.stream(Task.values())
            .anyMatch(task -> task.toString().equals(spec.substring(0, colon)));
  }

  /// Reads `parity:3-40` (task, smallest and largest length), or `parity:3-40:5` with a vocabulary
  /// size.
  ///
  /// @throws InvalidTextException if it is something else
  public static FormalLanguage parse(String spec) {
    Matcher matcher = SPEC.matcher(spec);
    if (matcher.matches()) {
      for (Task task : Task.values()) {
        if (task.toString().equals(matcher.group(1))) {
          return new FormalLanguage(
              task,
              Integer.parseInt(matcher.group(2)),
              Integer.parseInt(matcher.group(3)),
              matcher.group(4) == null ? task.defaultVocab : Integer.parseInt(matcher.group(4)));
        }
      }
    }
    throw new InvalidTextException(
        "corpus "
            + spec
            + ": not a formal language; write TASK:MIN-MAX such as parity:3-40, with a task of "
            + Arrays.toString(Task.values()));
  }

  /// The description that `parse` reads.
  @Override
  public String toString() {
    return "%s:%d-%d:%d".formatted(task, minLength, maxLength, vocabSize);
  }

  /// Returns the number of different answers.
  public int answers() {
    return switch (task) {
      case PARITY, EVEN_PAIRS -> vocabSize - 1;
      case CYCLE_NAVIGATION -> cycle();
      case MODULAR_ARITHMETIC -> vocabSize - 5;
    };
  }

  private int cycle() {
    return vocabSize - 2 - 2 * MAX_STEP;
  }

  /// The symbols of this language as a tokenizer; the caller need not close it.
  public Tokenizer tokenizer() {
    return new SymbolTokenizer(task, vocabSize);
  }

  /// Sample number `index` of a seed and a split, always the same.
  ///
  /// @param index from 0
  public Sample sample(long seed, Split split, long index) {
    var random = StableRandom.at(seed, split, index);
    if (task == Task.MODULAR_ARITHMETIC) {
      return term(random);
    }
    int[] tokens = new int[random.between(minLength, maxLength) - 1];
    int symbols = task == Task.CYCLE_NAVIGATION ? 2 * MAX_STEP + 1 : vocabSize - 1;
    Arrays.setAll(tokens, _ -> 1 + random.below(symbols));
    return new Sample(tokens, answer(tokens));
  }

  /// Numbers at even places, operators between them, `=` at the end.
  private Sample term(StableRandom random) {
    int size = 2 * random.between((minLength + 1) / 2, (maxLength + 1) / 2) - 1;
    int[] tokens = new int[size - 1];
    Arrays.setAll(
        tokens, at -> at % 2 == 0 ? 5 + random.below(vocabSize - 5) : 1 + random.below(3));
    tokens[size - 2] = 4;
    return new Sample(tokens, answer(tokens));
  }

  /// The answer to x_1 .. x_{size - 1}.
  int answer(int[] tokens) {
    return switch (task) {
      case PARITY -> Math.floorMod(Arrays.stream(tokens).map(x -> x - 1).sum(), vocabSize - 1) + 1;
      case EVEN_PAIRS -> Math.abs(tokens[tokens.length - 1] - tokens[0]) + 1;
      case CYCLE_NAVIGATION -> {
        int sum =
            Arrays.stream(tokens).map(x -> x <= MAX_STEP + 1 ? x - 1 : MAX_STEP + 1 - x).sum();
        yield Math.floorMod(sum, cycle()) + 2 * MAX_STEP + 2;
      }
      case MODULAR_ARITHMETIC -> value(tokens) + 5;
    };
  }

  private int value(int[] term) {
    int modulus = vocabSize - 5;
    int sum = 0; // of the products that ended
    int product = term[0] - 5;
    for (int at = 1; at < term.length - 1; at += 2) {
      int number = term[at + 1] - 5;
      if (term[at] == 3) {
        product = product * number % modulus;
      } else {
        sum += product;
        product = term[at] == 1 ? number : -number;
      }
    }
    return Math.floorMod(sum + product, modulus);
  }
}
