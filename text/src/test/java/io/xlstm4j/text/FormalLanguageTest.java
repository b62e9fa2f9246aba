package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class FormalLanguageTest {
  @ParameterizedTest(name = "{0}: {1} is {2}")
  @CsvSource({
    "parity:3-40, 0, 0",
    "parity:3-40, 1, 1",
    "parity:3-40, 11010, 1",
    "parity:3-40, 110101, 0",
    "parity:3-40:5, 3232, 2", // 10 mod 4
    "even_pairs:3-40, 0110, 0",
    "even_pairs:3-40, 0111, 1",
    "even_pairs:3-40, 1, 0",
    "cycle_navigation:3-40, ., 0",
    "cycle_navigation:3-40, -, 5",
    "cycle_navigation:3-40, ++.+-, 2",
    "cycle_navigation:3-40, ++++++, 0",
    "modular_arithmetic:3-40, 4=, 4",
    "modular_arithmetic:3-40, 1+2*3=, 2", // 7 mod 5
    "modular_arithmetic:3-40, 2-3*4*2-1+4*0=, 2", // -23 mod 5
    "modular_arithmetic:3-40, 0-1=, 4"
  })
  void answers_are_right(String spec, String question, String answer) {
    var language = FormalLanguage.parse(spec);
    Tokenizer symbols = language.tokenizer();
    int id = language.answer(symbols.encode(question));
    assertThat(symbols.decode(new int[] {id})).isEqualTo(answer);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "parity:2-2",
        "parity:3-40:7",
        "even_pairs:2-9",
        "cycle_navigation:2-40:6",
        "modular_arithmetic:3-40",
        "modular_arithmetic:39-39:39"
      })
  void samples_keep_to_lengths_and_symbols_and_every_answer_occurs(String spec) {
    var language = FormalLanguage.parse(spec);
    int odd = language.task() == FormalLanguage.Task.MODULAR_ARITHMETIC ? 1 : 0;
    int[] lengths = new int[language.maxLength() + 1];
    boolean[] answers = new boolean[language.vocabSize()];
    for (int i = 0; i < 3000; i++) {
      FormalLanguage.Sample sample = language.sample(1, Split.TRAIN, i);
      int size = sample.tokens().length + 1;
      lengths[size]++;
      answers[sample.answer()] = true;
      assertThat(Arrays.stream(sample.tokens())).allMatch(x -> x > 0 && x < language.vocabSize());
      assertThat(sample.answer()).isEqualTo(language.answer(sample.tokens()));
    }
    for (int size = 0; size < lengths.length; size++) {
      boolean possible = size >= language.minLength() && (odd == 0 || size % 2 == 1);
      assertThat(lengths[size] > 0).as("length %d", size).isEqualTo(possible);
    }
    int different = 0;
    for (boolean seen : answers) {
      different += seen ? 1 : 0;
    }
    assertThat(different).isEqualTo(language.answers());
  }

  @Test
  void an_even_bound_of_a_term_stands_for_the_size_below_it() {
    var language = FormalLanguage.parse("modular_arithmetic:4-6");
    int[] sizes = new int[8];
    for (int i = 0; i < 100; i++) {
      sizes[language.sample(1, Split.TRAIN, i).tokens().length + 1]++;
    }
    assertThat(sizes[3]).isPositive();
    assertThat(sizes[5]).isPositive();
    assertThat(sizes[3] + sizes[5]).isEqualTo(100);
  }

  @Test
  void lengths_and_answers_are_uniform() {
    var language = FormalLanguage.parse("parity:3-12");
    int[] lengths = new int[13];
    int ones = 0;
    int samples = 100_000;
    for (int i = 0; i < samples; i++) {
      FormalLanguage.Sample sample = language.sample(5, Split.TRAIN, i);
      lengths[sample.tokens().length + 1]++;
      ones += sample.answer() - 1;
    }
    for (int size = 3; size <= 12; size++) {
      assertThat(lengths[size]).isBetween(9_500, 10_500); // 5 deviations of 95
    }
    assertThat(ones).isBetween(49_200, 50_800); // 5 deviations of 158
  }

  @Test
  void a_sample_is_a_function_of_seed_split_and_number() {
    var language = FormalLanguage.parse("cycle_navigation:30-40");
    FormalLanguage.Sample sample = language.sample(1, Split.TRAIN, 77);
    assertThat(language.sample(1, Split.TRAIN, 77)).usingRecursiveComparison().isEqualTo(sample);
    for (var other :
        new FormalLanguage.Sample[] {
          language.sample(2, Split.TRAIN, 77),
          language.sample(1, Split.VALIDATION, 77),
          language.sample(1, Split.TRAIN, 78)
        }) {
      assertThat(other.tokens()).isNotEqualTo(sample.tokens());
    }
    assertThat(language.tokenizer().decode(sample.tokens())) // for ever: models were trained on it
        .isEqualTo("+--.+....-++--..--...+.-+.-++-.");
  }

  @Test
  void a_row_is_a_question_then_padding_and_one_target() {
    var language = FormalLanguage.parse("parity:3-10");
    var batches = new FormalLanguageBatches(language, Split.TRAIN, 4, 9, 3, 10);
    Batch batch = batches.batch(1);
    for (int row = 0; row < 4; row++) {
      FormalLanguage.Sample sample = language.sample(3, Split.TRAIN, 4 + row);
      int[] question = sample.tokens();
      int[] inputs = Arrays.copyOfRange(batch.inputs(), row * 9, row * 9 + 9);
      int[] targets = Arrays.copyOfRange(batch.targets(), row * 9, row * 9 + 9);
      assertThat(inputs).isEqualTo(Arrays.copyOf(question, 9));
      for (int i = 0; i < 9; i++) {
        assertThat(targets[i])
            .isEqualTo(i == question.length - 1 ? sample.answer() : Batch.IGNORED);
        assertThat(batch.starts()[row * 9 + i]).isEqualTo(i == 0);
      }
    }
    assertThat(batches.targetsPerEpoch()).isEqualTo(10);
    assertThat(batches.epochs(5)).isEqualTo(2);
    assertThat(batches.batch(5)).usingRecursiveComparison().isEqualTo(batches.batch(0));
  }

  @Test
  void parts_join_to_the_whole_batch_and_any_batch_can_be_asked_for_first() {
    var language = FormalLanguage.parse("modular_arithmetic:3-20");
    var batches = new FormalLanguageBatches(language, Split.VALIDATION, 5, 30, 3, 17);
    SourceChecks.partsJoin(batches, 0, 3, 1L << 40);
    SourceChecks.isResumable(
        batches, new FormalLanguageBatches(language, Split.VALIDATION, 5, 30, 3, 17), 9);
  }

  @Test
  void a_context_that_is_too_short_is_refused() {
    var language = FormalLanguage.parse("parity:3-40");
    new FormalLanguageBatches(language, Split.TRAIN, 1, 39, 0, 1).batch(0);
    assertThatThrownBy(() -> new FormalLanguageBatches(language, Split.TRAIN, 1, 38, 0, 1))
        .isInstanceOf(InvalidTextException.class)
        .hasMessage("context length (38) is too short for parity:3-40:3; it must be at least 39");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "parity",
        "parity:3",
        "parity:1-4",
        "parity:5-4",
        "parity:3-4:2",
        "parity:3-4:38",
        "modular_arithmetic:2-4",
        "palindromes:3-4",
        "parity:-3-4",
        "parity:3-99999999999"
      })
  void a_description_that_is_wrong_is_refused_in_one_line(String spec) {
    assertThatThrownBy(() -> FormalLanguage.parse(spec))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining(spec.substring(0, 6))
        .hasMessageNotContaining("\n");
  }

  @Test
  void a_description_is_told_from_a_path() {
    assertThat(FormalLanguage.names("parity:3-40")).isTrue();
    assertThat(FormalLanguage.names("parity:nonsense")).isTrue();
    assertThat(FormalLanguage.names("parity")).isFalse();
    assertThat(FormalLanguage.names("C:/texts/*.txt")).isFalse();
    var language = FormalLanguage.parse("even_pairs:3-40");
    assertThat(FormalLanguage.parse(language.toString())).isEqualTo(language);
  }

  @Test
  void its_tokenizer_is_built_in_and_reads_what_it_writes() {
    Tokenizer symbols = Tokenizers.builtIn("modular_arithmetic-10");
    assertThat(symbols.vocabSize()).isEqualTo(10);
    assertThat(symbols.decode(new int[] {5, 1, 9, 4, 0})).isEqualTo("0+4=_");
    assertThat(symbols.encode("0+4=")).containsExactly(5, 1, 9, 4);
    assertThat(symbols.streamDecoder().next(9)).isEqualTo("4");
    assertThatThrownBy(() -> symbols.encode("0+5="))
        .isInstanceOf(InvalidTextException.class)
        .hasMessage(
            "modular_arithmetic-10: \"0+5=\" has the character 5; its symbols are +-*=01234");
    assertThatThrownBy(() -> symbols.encode("_")).isInstanceOf(InvalidTextException.class);
    assertThatThrownBy(() -> Tokenizers.builtIn("parity-1"))
        .isInstanceOf(InvalidTextException.class);
  }
}
