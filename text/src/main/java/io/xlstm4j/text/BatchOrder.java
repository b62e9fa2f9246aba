package io.xlstm4j.text;

/// The window of each sequence of each batch: a new random order in every epoch, without a list.
///
/// Row r of batch i is number g = i · rows + r of an endless row of windows. Its epoch is g /
/// windows, and within the epoch a keyed permutation says which window comes at place g mod
/// windows. So any batch can be asked for at any time, and a run that resumes needs only a number.
///
/// @param seed equal seeds give equal orders
/// @param windows how many there are
/// @param rows B, windows in a batch
public record BatchOrder(long seed, long windows, int rows) {
  private static final int ROUNDS = 6;
  private static final long GOLDEN = 0x9E3779B97F4A7C15L; // 2^64 over the golden ratio, odd

  public BatchOrder {
    if (windows < 1 || rows < 1) {
      throw new IllegalArgumentException(
          "windows (%d) and rows (%d) must be positive".formatted(windows, rows));
    }
  }

  /// The epoch that a row of a batch belongs to, from 0; a batch may span two.
  public long epoch(long batch, int row) {
    return number(batch, row) / windows;
  }

  /// Returns the epochs completed after the batches [0, batches).
  public double epochs(long batches) {
    return (double) batches * rows / windows;
  }

  /// The window that a row of a batch holds, in [0, windows).
  ///
  /// @param batch from 0
  /// @param row in [0, rows)
  /// @throws ArithmeticException if batch · rows exceeds a long
  public long window(long batch, int row) {
    return window(number(batch, row));
  }

  /// The window at a place of the endless row.
  long window(long number) {
    return permuted(StableHash.mix(seed + GOLDEN * (number / windows + 1)), number % windows);
  }

  private long number(long batch, int row) {
    if (batch < 0 || row < 0 || row >= rows) {
      throw new IndexOutOfBoundsException(
          "batch (%d) must not be negative, row (%d) must be in [0, %d)"
              .formatted(batch, row, rows));
    }
    return Math.addExact(Math.multiplyExact(batch, rows), row);
  }

  /// A Feistel network on the smallest even number of bits that holds every place; places that it
  /// sends beyond the last window are sent on until they land inside.
  private long permuted(long key, long place) {
    int half = Math.max(1, (Long.SIZE - Long.numberOfLeadingZeros(windows - 1) + 1) / 2);
    long mask = (1L << half) - 1;
    long at = place;
    do {
      long left = at >>> half;
      long right = at & mask;
      for (int round = 1; round <= ROUNDS; round++) {
        long mixed = left ^ (StableHash.mix(right + key + GOLDEN * round) & mask);
        left = right;
        right = mixed;
      }
      at = left << half | right;
    } while (at >= windows);
    return at;
  }
}
