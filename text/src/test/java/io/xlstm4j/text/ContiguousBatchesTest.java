package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ContiguousBatchesTest {
  private static final int END = 256;

  @TempDir private Path folder;

  @Test
  void a_sequence_reads_on_in_its_stream_and_begins_afresh_with_each_epoch() throws Exception {
    try (var tokens = Samples.tokenFile(folder, "abcdefg")) { // E a b c d e f g E
      var batches = new ContiguousBatches(tokens, 2, 3); // streams E a b c and d e f g
      assertThat(batches.batchesPerEpoch()).isEqualTo(2);
      Batch first = batches.batch(0);
      assertThat(first.inputs()).containsExactly(END, 'a', 'b', 'd', 'e', 'f');
      assertThat(first.targets()).containsExactly('a', 'b', 'c', 'e', 'f', 'g');
      assertThat(first.starts()).containsExactly(true, false, false, true, false, false);
      Batch second = batches.batch(1);
      assertThat(second.inputs()).containsExactly('c', END, END, 'g', END, END);
      assertThat(second.targets()).containsExactly('d', -1, -1, END, -1, -1);
      assertThat(second.starts()).containsExactly(false, true, true, false, true, true);
      assertThat(batches.batch(2)).usingRecursiveComparison().isEqualTo(first);
      assertThat(batches.startsEpoch(0)).isTrue();
      assertThat(batches.startsEpoch(1)).isFalse();
      assertThat(batches.startsEpoch(2)).isTrue();
      assertThat(batches.epochs(3)).isEqualTo(1.5);
    }
  }

  @ParameterizedTest(name = "{0} documents in {1} sequences of {2}")
  @CsvSource({"1,1,1", "1,3,4", "1,500,7", "40,1,7", "40,3,5", "40,16,1", "40,2,5000", "40,900,2"})
  void streams_join_to_the_whole_stream_and_every_token_is_a_target_once(
      int documents, int sequences, int length) throws Exception {
    try (var tokens = randomTokens(documents)) {
      var batches = new ContiguousBatches(tokens, sequences, length);
      int[][] streams = new int[sequences][];
      Arrays.setAll(streams, _ -> new int[0]);
      for (long number = 0; number < batches.batchesPerEpoch(); number++) {
        Batch batch = batches.batch(number);
        assertThat(Arrays.stream(batch.targets()))
            .as("not of padding alone")
            .anyMatch(t -> t != Batch.IGNORED);
        for (int sequence = 0; sequence < sequences; sequence++) {
          var stream = new IntList();
          stream.addAll(streams[sequence]);
          for (int i = sequence * length; i < (sequence + 1) * length; i++) {
            if (batch.targets()[i] != Batch.IGNORED) {
              stream.add(batch.targets()[i]);
            }
            boolean streamStart = number == 0 && i % length == 0;
            assertThat(batch.starts()[i]).isEqualTo(streamStart || batch.inputs()[i] == END);
          }
          streams[sequence] = stream.toArray();
        }
      }
      int[] all = IntStream.range(1, (int) tokens.size()).map(tokens::get).toArray();
      assertThat(Arrays.stream(streams).flatMapToInt(Arrays::stream).toArray()).isEqualTo(all);
      assertThat(batches.targetsPerEpoch()).isEqualTo(all.length);
      assertThat(batches.epochs(batches.batchesPerEpoch())).isEqualTo(1);
    }
  }

  @Test
  void parts_join_to_the_whole_batch() throws Exception {
    try (var tokens = randomTokens(40)) {
      SourceChecks.partsJoin(new ContiguousBatches(tokens, 7, 9), 0, 1, 2, 1_000_000);
    }
  }

  @Test
  void sequences_that_do_not_exist_are_refused() throws Exception {
    try (var tokens = randomTokens(3)) {
      var batches = new ContiguousBatches(tokens, 2, 3);
      assertThatThrownBy(() -> batches.batch(-1)).isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> batches.sequences(0, 1, 3))
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessageContaining("sequences [1, 3) must be some of [0, 2)");
      assertThatThrownBy(() -> batches.sequences(0, 1, 1))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  private TokenFile randomTokens(int documents) throws Exception {
    var random = new Random(documents);
    String[] texts = new String[documents];
    Arrays.setAll(texts, i -> i % 10 == 3 ? "" : Samples.random(random, 1 + random.nextInt(30)));
    return Samples.tokenFile(folder, texts);
  }
}
