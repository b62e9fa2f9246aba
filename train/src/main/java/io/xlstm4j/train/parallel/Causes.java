package io.xlstm4j.train.parallel;

/// What is said of a rank that is gone, by the hub or by each rank that lost the hub.
final class Causes {
  private Causes() {}

  static String ended(int rank, int size) {
    return "rank %d of %d ended unexpectedly: killed, out of memory or its machine lost"
        .formatted(rank, size);
  }

  static String silent(int rank, int size) {
    return "rank %d of %d gives no sign of life: stopped, hung or cut off".formatted(rank, size);
  }
}
