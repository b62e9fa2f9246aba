package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DocumentBatchesTest {
  private static final int END = 256;
  private static final int NONE = Batch.IGNORED;

  @TempDir private Path folder;

  @Test
  void documents_are_put_where_they_fit_first_and_begin_there() throws Exception {
    try (var tokens = Samples.tokenFile(folder, "abcd", "ef", "g", "hijklmnop")) {
      var batches = new DocumentBatches(tokens, 3, 6, 0); // sizes 5, 3, 2, and 10 cut to 6
      assertThat(batches.order().windows()).isEqualTo(3);
      Batch batch = batches.batch(0);
      int[][] inputs = new int[3][];
      int[][] targets = new int[3][];
      for (int sequence = 0; sequence < 3; sequence++) {
        int window = (int) batches.order().window(0, sequence);
        inputs[window] = Arrays.copyOfRange(batch.inputs(), sequence * 6, sequence * 6 + 6);
        targets[window] = Arrays.copyOfRange(batch.targets(), sequence * 6, sequence * 6 + 6);
      }
      assertThat(inputs[0]).containsExactly(END, 'h', 'i', 'j', 'k', 'l'); // full, so closed first
      assertThat(targets[0]).containsExactly('h', 'i', 'j', 'k', 'l', 'm');
      assertThat(inputs[1]).containsExactly(END, 'a', 'b', 'c', 'd', END);
      assertThat(targets[1]).containsExactly('a', 'b', 'c', 'd', END, NONE);
      assertThat(inputs[2]).containsExactly(END, 'e', 'f', END, 'g', END);
      assertThat(targets[2]).containsExactly('e', 'f', END, 'g', END, NONE);
      for (int i = 0; i < batch.inputs().length; i++) {
        assertThat(batch.starts()[i]).isEqualTo(batch.inputs()[i] == END);
      }
      assertThat(batches.droppedTargets()).isEqualTo(4);
      assertThat(batches.targetsPerEpoch()).isEqualTo(16);
      assertThat(batches.fullness()).isEqualTo(16 / 18.0);
      assertThat(batches.epochs(2)).isEqualTo(2);
    }
  }

  @ParameterizedTest(name = "{0} documents up to {1} in {2} sequences of {3}")
  @CsvSource({
    "1,0,1,1",
    "1,5,2,1",
    "1,5,1,6",
    "3,5,2,1000",
    "100,9,4,1",
    "100,9,4,10",
    "100,9,3,11",
    "1000,9,7,8",
    "2000,30,5,31",
    "2000,200,5,64"
  })
  void every_document_comes_once_in_an_epoch_whole_unless_it_is_longer_than_a_window(
      int documents, int longest, int sequences, int length) throws Exception {
    var random = new Random(documents + length);
    String[] texts = new String[documents];
    Arrays.setAll(texts, i -> "x".repeat(random.nextInt(longest + 1)) + (char) ('a' + i % 20));
    try (var tokens = Samples.tokenFile(folder, texts)) {
      var batches = new DocumentBatches(tokens, sequences, length, 3);
      List<String> expected = new ArrayList<>();
      for (String text : texts) {
        String whole = text + "!"; // stands for the end of the text
        expected.add(whole.substring(0, Math.min(whole.length(), length)));
      }
      List<String> seen = new ArrayList<>();
      for (long number = 0; number < batches.order().windows(); number++) {
        int sequence = (int) (number % sequences);
        seen.addAll(documents(batches.sequences(number / sequences, sequence, sequence + 1)));
      }
      assertThat(seen).containsExactlyInAnyOrderElementsOf(expected);
      assertThat(expected.stream().mapToLong(String::length).sum())
          .isEqualTo(batches.targetsPerEpoch());
      assertThat(batches.droppedTargets() + batches.targetsPerEpoch()).isEqualTo(tokens.size() - 1);
    }
  }

  /// The targets of a sequence, cut at starts, the end of text as `!`.
  private static List<String> documents(Batch sequence) {
    List<StringBuilder> found = new ArrayList<>();
    boolean padding = false;
    for (int i = 0; i < sequence.length(); i++) {
      if (sequence.targets()[i] == Batch.IGNORED) {
        padding = true;
        assertThat(sequence.starts()[i]).isTrue();
        continue;
      }
      assertThat(padding).as("padding stands at the end").isFalse();
      if (sequence.starts()[i]) {
        assertThat(sequence.inputs()[i]).isEqualTo(END);
        found.add(new StringBuilder());
      } else {
        assertThat(sequence.inputs()[i]).isEqualTo(sequence.targets()[i - 1]);
      }
      found.getLast().append(sequence.targets()[i] == END ? '!' : (char) sequence.targets()[i]);
    }
    return found.stream().map(StringBuilder::toString).toList();
  }

  @Test
  void more_documents_than_open_windows_leave_little_room() throws Exception {
    var random = new Random(4);
    String[] texts = new String[5000];
    Arrays.setAll(texts, _ -> "x".repeat(1 + random.nextInt(60)));
    try (var tokens = Samples.tokenFile(folder, texts)) {
      var batches = new DocumentBatches(tokens, 1, 64, 3);
      assertThat(batches.fullness()).isGreaterThan(0.95);
      assertThat(batches.droppedTargets()).isZero();
    }
  }

  @Test
  void documents_that_all_half_fill_a_window_are_packed_within_bounds() throws Exception {
    String[] texts = new String[1000];
    Arrays.setAll(texts, _ -> "x".repeat(5)); // size 6 of 10: one in each window
    try (var tokens = Samples.tokenFile(folder, texts)) {
      var batches = new DocumentBatches(tokens, 1, 10, 3);
      assertThat(batches.order().windows()).isEqualTo(1000);
    }
  }

  @Test
  void parts_join_to_the_whole_batch_and_any_batch_can_be_asked_for_first() throws Exception {
    try (var tokens = Samples.tokenFile(folder, "abc", "d", "efghi", "jkl", "mn", "opqrstuvw")) {
      SourceChecks.partsJoin(new DocumentBatches(tokens, 5, 7, 1), 0, 1, 100);
      SourceChecks.isResumable(
          new DocumentBatches(tokens, 2, 7, 1), new DocumentBatches(tokens, 2, 7, 1), 20);
    }
  }
}
