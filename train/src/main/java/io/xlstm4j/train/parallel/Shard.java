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
  public static Shard of(int rows, int rank, int size) {
    if (rows < size) {
      throw new InvalidInputException(
          "a batch of %d rows cannot be split over %d ranks; use at least one row for each rank"
              .formatted(rows, size));
    }
    return new Shard(start(rows, rank, size), start(rows, rank + 1, size));
  }

  private static int start(int rows, int rank, int size) {
    return rank * (rows / size) + Math.min(rank, rows % size);
  }

  public int rows() {
    return to - from;
  }
}
