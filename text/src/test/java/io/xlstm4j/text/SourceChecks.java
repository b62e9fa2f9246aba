package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;

/// Checks for every source of batches.
final class SourceChecks {
  private SourceChecks() {}

  /// Any way to cut a batch into ranges of sequences gives the whole batch: nothing missing,
  /// nothing twice.
  static void partsJoin(BatchSource source, long... numbers) {
    for (long number : numbers) {
      Batch whole = source.batch(number);
      assertThat(whole.sequences()).isEqualTo(source.sequences());
      assertThat(whole.length()).isEqualTo(source.length());
      assertThat(Arrays.stream(whole.targets()))
          .as("some target")
          .anyMatch(t -> t != Batch.IGNORED);
      for (int ranks = 1; ranks <= source.sequences(); ranks++) {
        for (int rank = 0; rank < ranks; rank++) {
          int from = source.sequences() * rank / ranks;
          int to = source.sequences() * (rank + 1) / ranks;
          assertSame(source.sequences(number, from, to), whole, from, to);
        }
      }
    }
  }

  private static void assertSame(Batch part, Batch whole, int from, int to) {
    int start = from * whole.length();
    int end = to * whole.length();
    assertThat(part.sequences()).isEqualTo(to - from);
    assertThat(part.inputs()).isEqualTo(Arrays.copyOfRange(whole.inputs(), start, end));
    assertThat(part.targets()).isEqualTo(Arrays.copyOfRange(whole.targets(), start, end));
    assertThat(part.starts()).isEqualTo(Arrays.copyOfRange(whole.starts(), start, end));
  }

  /// A source made anew, asked out of order, gives what the first one gives in order.
  static void isResumable(BatchSource source, BatchSource again, int batches) {
    assertThat(again.fingerprint()).isEqualTo(source.fingerprint()).hasSize(64);
    Batch[] late = new Batch[batches];
    for (int number = batches - 1; number >= 0; number--) {
      late[number] = again.batch(number);
    }
    for (int number = 0; number < batches; number++) {
      assertThat(source.batch(number)).usingRecursiveComparison().isEqualTo(late[number]);
    }
  }
}
