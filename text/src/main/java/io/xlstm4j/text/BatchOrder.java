package io.xlstm4j.text;

/// The window of each sequence of each batch: a new random order in every epoch, without a list.
///
/// Sequence r of batch i is number g = i · sequences + r of an endless sequence of windows. Its
/// epoch is g / windows, and within the epoch a keyed permutation says which window comes at place
/// g mod windows. So any batch can be asked for at any time, and a run that resumes needs only a
/// number.
///
/// @param seed equal seeds give equal orders
/// @param windows how many there are
/// @param sequences B, windows in a batch
public record BatchOrder(long seed, long windows, int sequences) {
  private static final int ROUNDS = 6;
  private static final long GOLDEN = 0x9E3779B97F4A7C15L; // 2^64 over the golden ratio, odd

  public BatchOrder {
    if (windows < 1 || sequences < 1) {
      throw new IllegalArgumentException(
          "windows (%d) and sequences (%d) must be positive".formatted(windows, sequences));
    }
  }

  /// The epoch that a sequence of a batch belongs to, from 0; a batch may span two.
  public long epoch(long batch, int sequence) {
    return number(batch, sequence) / windows;
  }

  /// Returns the epochs completed after the batches [0, batches).
  public double epochs(long batches) {
    return (double) batches * sequences / windows;
  }

  /// The window that a sequence of a batch holds, in [0, windows).
  ///
  /// @param batch from 0
  /// @param sequence in [0, sequences)
  /// @throws ArithmeticException if batch · sequences exceeds a long
  public long window(long batch, int sequence) {
    return window(number(batch, sequence));
  }

  /// The window at a place of the endless sequence.
  long window(long number) {
    return permuted(StableHash.mix(seed + GOLDEN * (number / windows + 1)), number % windows);
  }

  private long number(long batch, int sequence) {
    if (batch < 0 || sequence < 0 || sequence >= sequences) {
      throw new IndexOutOfBoundsException(
          "batch (%d) must not be negative, sequence (%d) must be in [0, %d)"
              .formatted(batch, sequence, sequences));
    }
    return Math.addExact(Math.multiplyExact(batch, sequences), sequence);
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
