package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.NoSuchElementException;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BatchesTest {
  private static final int END = 256;

  @TempDir private Path folder;

  @Test
  void a_window_holds_inputs_their_successors_and_where_documents_start() throws Exception {
    try (var tokens = Samples.tokenFile(folder, "ab", "c")) { // E a b E c E
      Batch batch = new Batches(tokens, 1, 5, 0).batch(0);
      assertThat(batch.inputs()).containsExactly(END, 'a', 'b', END, 'c');
      assertThat(batch.targets()).containsExactly('a', 'b', END, 'c', END);
      assertThat(batch.starts()).containsExactly(true, false, false, true, false);
    }
  }

  @Test
  void the_last_window_is_padded_and_its_padding_starts_anew() throws Exception {
    try (var tokens = Samples.tokenFile(folder, "ab", "c")) {
      var batches = new Batches(tokens, 2, 4, 0); // two windows, so one batch is one epoch
      Batch batch = batches.batch(0);
      int last = batches.order().window(0, 0) == 1 ? 0 : 4;
      assertThat(Arrays.copyOfRange(batch.inputs(), last, last + 4))
          .containsExactly('c', END, END, END);
      assertThat(Arrays.copyOfRange(batch.targets(), last, last + 4))
          .containsExactly(END, Batch.IGNORED, Batch.IGNORED, Batch.IGNORED);
      assertThat(Arrays.copyOfRange(batch.starts(), last, last + 4))
          .containsExactly(false, true, true, true);
    }
  }

  @ParameterizedTest(name = "{0} sequences of {1}")
  @CsvSource({"1,1", "1,7", "3,5", "4,16", "2,1000", "7,31"})
  void every_token_but_the_first_is_a_target_once_in_an_epoch(int sequences, int length)
      throws Exception {
    try (var tokens = randomTokens()) {
      int[] all = IntStream.range(0, (int) tokens.size()).map(tokens::get).toArray();
      var batches = new Batches(tokens, sequences, length, 11);
      long windows = batches.order().windows();
      int[] targets = new int[all.length - 1];
      Arrays.fill(targets, Batch.IGNORED);
      int filled = 0;
      for (long number = 0; number < windows; number++) {
        long batch = number / sequences;
        int sequence = (int) (number % sequences);
        int from = (int) batches.order().window(batch, sequence) * length;
        Batch values = batches.batch(batch);
        for (int i = 0; i < length; i++) {
          int target = values.targets()[sequence * length + i];
          if (target == Batch.IGNORED) {
            assertThat(from + i).isGreaterThanOrEqualTo(targets.length);
          } else {
            assertThat(targets[from + i]).as("once").isEqualTo(Batch.IGNORED);
            assertThat(values.inputs()[sequence * length + i]).isEqualTo(all[from + i]);
            targets[from + i] = target;
            filled++;
          }
        }
      }
      assertThat(filled).isEqualTo(targets.length);
      assertThat(targets).isEqualTo(Arrays.copyOfRange(all, 1, all.length));
    }
  }

  @Test
  void a_batch_is_a_function_of_seed_and_number() throws Exception {
    try (var tokens = randomTokens()) {
      var batches = new Batches(tokens, 3, 8, 5);
      Batch late = batches.batch(1000);
      assertThat(batches.batch(0).inputs()).isNotEqualTo(late.inputs());
      Batch again = new Batches(tokens, 3, 8, 5).batch(1000);
      assertThat(again.inputs()).isEqualTo(late.inputs());
      assertThat(again.targets()).isEqualTo(late.targets());
      assertThat(again.starts()).isEqualTo(late.starts());
      assertThat(new Batches(tokens, 3, 8, 6).batch(1000).inputs()).isNotEqualTo(late.inputs());
    }
  }

  @Test
  void parts_join_to_the_whole_batch_and_any_batch_can_be_asked_for_first() throws Exception {
    try (var tokens = randomTokens()) {
      SourceChecks.partsJoin(new Batches(tokens, 6, 8, 5), 0, 1, 999);
      SourceChecks.isResumable(new Batches(tokens, 6, 8, 5), new Batches(tokens, 6, 8, 5), 50);
      assertThat(new Batches(tokens, 6, 8, 5).fingerprint())
          .isNotEqualTo(new Batches(tokens, 6, 8, 6).fingerprint());
    }
  }

  @Test
  void epochs_are_counted_in_windows() throws Exception {
    try (var tokens = Samples.tokenFile(folder, "abcdefg")) { // eight targets, three windows
      var batches = new Batches(tokens, 2, 3, 0);
      assertThat(batches.targetsPerEpoch()).isEqualTo(8);
      assertThat(batches.epochs(0)).isZero();
      assertThat(batches.epochs(3)).isEqualTo(2);
    }
  }

  @ParameterizedTest(name = "{0} sequences of {1}")
  @CsvSource({"1,1", "1,7", "3,5", "4,16", "2,1000", "7,31", "5000,2"})
  void sequential_streams_join_to_the_whole_file(int sequences, int length) throws Exception {
    try (var tokens = randomTokens()) {
      var batches = new SequentialBatches(tokens, sequences, length);
      int[][] streams = new int[sequences][];
      Arrays.setAll(streams, _ -> new int[0]);
      int count = 0;
      while (batches.hasNext()) {
        Batch batch = batches.next();
        count++;
        boolean useful = false;
        for (int sequence = 0; sequence < sequences; sequence++) {
          var stream = new IntList();
          stream.addAll(streams[sequence]);
          for (int i = 0; i < length; i++) {
            int at = sequence * length + i;
            boolean padding = batch.targets()[at] == Batch.IGNORED;
            if (padding) {
              assertThat(batch.inputs()[at]).isEqualTo(END);
            } else {
              stream.add(batch.targets()[at]);
              useful = true;
            }
            assertThat(batch.starts()[at]).isEqualTo(batch.inputs()[at] == END);
          }
          streams[sequence] = stream.toArray();
        }
        assertThat(useful).as("no batch of padding alone").isTrue();
      }
      assertThat(batches.count()).isEqualTo(count);
      int[] all = IntStream.range(1, (int) tokens.size()).map(tokens::get).toArray();
      assertThat(Arrays.stream(streams).flatMapToInt(Arrays::stream).toArray()).isEqualTo(all);
      assertThatThrownBy(batches::next).isInstanceOf(NoSuchElementException.class);
    }
  }

  @Test
  void a_batch_that_does_not_fit_its_shape_is_refused() {
    assertThatThrownBy(() -> new Batch(2, 2, new int[4], new int[3], new boolean[4]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("targets (3)")
        .hasMessageContaining("sequences (2) x length (2)");
    assertThatThrownBy(() -> new Batch(0, 2, new int[0], new int[0], new boolean[0]))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void sizes_below_one_are_refused() throws Exception {
    try (var tokens = randomTokens()) {
      assertThatThrownBy(() -> new Batches(tokens, 0, 1, 0))
          .isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> new Batches(tokens, 1, 0, 0))
          .isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> new SequentialBatches(tokens, 0, 1))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  private TokenFile randomTokens() throws Exception {
    var random = new Random(8);
    String[] texts = new String[40];
    Arrays.setAll(texts, i -> i % 10 == 3 ? "" : Samples.random(random, random.nextInt(30)));
    return Samples.tokenFile(folder, texts);
  }
}
