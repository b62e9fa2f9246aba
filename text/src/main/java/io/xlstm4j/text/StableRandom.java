package io.xlstm4j.text;

/// Random numbers that are the same on every machine and in every release: SplitMix64.
final class StableRandom {
  private static final long GOLDEN = 0x9E3779B97F4A7C15L; // 2^64 over the golden ratio, odd

  private long state;

  StableRandom(long seed) {
    state = StableHash.mix(seed);
  }

  /// The numbers that belong to one place of many.
  static StableRandom at(long seed, Split split, long index) {
    return new StableRandom(
        StableHash.mix(seed ^ StableHash.of(split.name())) + StableHash.mix(index));
  }

  /// Uniform in [0, bound), up to one part in 2^32 / bound.
  int below(int bound) {
    state += GOLDEN;
    return (int) (((StableHash.mix(state) >>> Integer.SIZE) * bound) >>> Integer.SIZE);
  }

  /// Uniform in [min, max].
  int between(int min, int max) {
    return min + below(max - min + 1);
  }
}
