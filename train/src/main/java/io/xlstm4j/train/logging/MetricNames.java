package io.xlstm4j.train.logging;

import io.xlstm4j.core.OneLine;
import java.util.List;
import java.util.regex.Pattern;

/// Names of the numbers of a run. TensorBoard groups them by what stands before the slash.
public final class MetricNames {
  /// Mean cross entropy of the batch, nats per token.
  public static final String TRAIN_LOSS = "train/loss";

  /// Learning rate of the step.
  public static final String TRAIN_LEARNING_RATE = "train/learning_rate";

  /// Global norm before clipping.
  public static final String TRAIN_GRADIENT_NORM = "train/gradient_norm";

  /// Tokens trained on since the beginning of the run.
  public static final String TRAIN_TOKENS = "train/tokens";

  /// Tokens of the step over its seconds.
  public static final String TRAIN_TOKENS_PER_SECOND = "train/tokens_per_second";

  /// Seconds since the beginning of the run in which it ran; validation and saving count.
  public static final String TRAIN_SECONDS = "train/seconds";

  /// Mean cross entropy of the validation part, nats per token.
  public static final String VALIDATION_LOSS = "validation/loss";

  /// The same in bits over the UTF-8 bytes of the text.
  public static final String VALIDATION_BITS_PER_BYTE = "validation/bits_per_byte";

  /// Shard of the tokens that were the likeliest, 0 to 1.
  public static final String VALIDATION_ACCURACY = "validation/accuracy";

  /// Memory of the process as the system counts it, MiB.
  public static final String MEMORY_RESIDENT_MIB = "memory/resident_mib";

  /// Used Java heap, MiB.
  public static final String MEMORY_HEAP_MIB = "memory/heap_mib";

  /// The columns that every `metrics.csv` has, in their order.
  public static final List<String> STANDARD =
      List.of(
          TRAIN_LOSS,
          TRAIN_LEARNING_RATE,
          TRAIN_GRADIENT_NORM,
          TRAIN_TOKENS,
          TRAIN_TOKENS_PER_SECOND,
          TRAIN_SECONDS,
          VALIDATION_LOSS,
          VALIDATION_BITS_PER_BYTE,
          VALIDATION_ACCURACY,
          MEMORY_RESIDENT_MIB,
          MEMORY_HEAP_MIB);

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_./-]+");

  private MetricNames() {}

  /// @throws IllegalArgumentException if `name` is not of letters, digits and `_./-`
  static void check(String name) {
    if (!NAME.matcher(name).matches()) {
      throw new IllegalArgumentException(
          "the name of a metric (%s) must be of letters, digits and _ . / -"
              .formatted(OneLine.quote(name)));
    }
  }
}
