package io.xlstm4j.train.parallel;

/// Messages about a rank that is gone, from the coordinator or from a rank that lost it.
final class FailureMessages {
  private FailureMessages() {}

  static String ended(int rank, int size) {
    return "rank %d of %d ended unexpectedly: killed, out of memory or its machine lost"
        .formatted(rank, size);
  }

  static String silent(int rank, int size) {
    return "rank %d of %d gives no sign of life: stopped, hung or cut off".formatted(rank, size);
  }
}
