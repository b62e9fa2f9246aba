package io.xlstm4j.train.parallel;

import io.xlstm4j.core.InvalidInputException;

/// The sequences of a batch that one rank computes: consecutive ones.
///
/// @param from the first
/// @param to after the last
public record Shard(int from, int to) {
  /// The shares of all ranks follow each other without gap or overlap; the first ones are one
  /// longer where the sequences cannot be split evenly.
  ///
  /// @throws InvalidInputException if there are fewer sequences than ranks
  public static Shard of(int sequences, int rank, int size) {
    if (sequences < size) {
      throw new InvalidInputException(
          "a batch of %d sequences cannot be split over %d ranks; use at least one sequence for each rank"
              .formatted(sequences, size));
    }
    return new Shard(start(sequences, rank, size), start(sequences, rank + 1, size));
  }

  private static int start(int sequences, int rank, int size) {
    return rank * (sequences / size) + Math.min(rank, sequences % size);
  }

  public int sequences() {
    return to - from;
  }
}
