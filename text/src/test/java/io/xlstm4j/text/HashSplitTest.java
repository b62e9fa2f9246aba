package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The document that validates where the hashes alone choose none, or all.
class HashSplitTest {
  /// Hashes below a twentieth of all unsigned numbers validate; their lowest 11 bits do not count.
  private static final long BELOW = Long.divideUnsigned(-1, 20) - (1 << 12);

  private static final long ABOVE = Long.divideUnsigned(-1, 20) + (1 << 12);

  private static List<Split> sides(long... hashes) {
    HashSplit split = HashSplit.choose(Arrays.stream(hashes).iterator(), "test");
    return IntStream.range(0, hashes.length).mapToObj(i -> split.sideOf(i, hashes[i])).toList();
  }

  @Test
  void without_a_document_that_validates_the_one_with_the_smallest_hash_does() {
    assertThat(sides(ABOVE + 9, ABOVE + 5, ABOVE + 7))
        .containsExactly(Split.TRAIN, Split.VALIDATION, Split.TRAIN);
    assertThat(sides(ABOVE + 5, ABOVE + 9)).containsExactly(Split.VALIDATION, Split.TRAIN);
    assertThat(sides(ABOVE + 9, ABOVE + 5)).containsExactly(Split.TRAIN, Split.VALIDATION);
  }

  @Test
  void hashes_are_compared_without_a_sign() {
    assertThat(sides(-1, Long.MAX_VALUE, Long.MIN_VALUE))
        .containsExactly(Split.TRAIN, Split.VALIDATION, Split.TRAIN);
    assertThat(sides(Long.MIN_VALUE, -1)).containsExactly(Split.VALIDATION, Split.TRAIN);
  }

  @Test
  void without_a_document_to_train_on_the_one_with_the_largest_hash_is_trained_on() {
    assertThat(sides(3, 9, 5)).containsExactly(Split.VALIDATION, Split.TRAIN, Split.VALIDATION);
    assertThat(sides(9, 3)).containsExactly(Split.TRAIN, Split.VALIDATION);
  }

  @Test
  void where_the_hashes_fill_both_sides_they_alone_decide() {
    assertThat(sides(BELOW, ABOVE, 1, -1, Long.MIN_VALUE, Long.MAX_VALUE))
        .containsExactly(
            Split.VALIDATION, Split.TRAIN, Split.VALIDATION, Split.TRAIN, Split.TRAIN, Split.TRAIN);
  }

  /// Whatever the order of the documents, the same ones validate.
  @ParameterizedTest(name = "{0} documents")
  @ValueSource(ints = {2, 3, 7})
  void the_choice_does_not_depend_on_the_order(int documents) {
    Set<String> chosen = validating(documents, 0);
    assertThat(chosen).isNotEmpty().hasSizeLessThan(documents);
    for (int turn = 1; turn < documents; turn++) {
      assertThat(validating(documents, turn)).isEqualTo(chosen);
    }
  }

  private static Set<String> validating(int documents, int turn) {
    List<String> texts =
        IntStream.range(0, documents).mapToObj(i -> "text " + (i + turn) % documents).toList();
    long[] hashes = texts.stream().mapToLong(StableHash::of).toArray();
    List<Split> sides = sides(hashes);
    return IntStream.range(0, documents)
        .filter(i -> sides.get(i) == Split.VALIDATION)
        .mapToObj(texts::get)
        .collect(Collectors.toSet());
  }
}
