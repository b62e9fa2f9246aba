package io.xlstm4j.text;

import java.util.Arrays;
import java.util.Objects;

/// Token ids for one step, (sequences, length), row-major in flat arrays. The arrays are not
/// copied.
///
/// @param sequences B, texts side by side
/// @param length S, tokens of each
/// @param inputs the ids read
/// @param targets the ids to predict, each the one after its input; `IGNORED` where there is none
/// @param starts true where a text begins, from a fresh state: at the end-of-text id before each
///   document, and wherever the source of the batch says so
public record Batch(int sequences, int length, int[] inputs, int[] targets, boolean[] starts) {
  /// The target of padding; it takes no part in a loss.
  public static final int IGNORED = -1;

  public Batch {
    if (sequences < 1 || length < 1) {
      throw new IllegalArgumentException(
          "sequences (%d) and length (%d) must be positive".formatted(sequences, length));
    }
    int size = Math.multiplyExact(sequences, length);
    if (inputs.length != size || targets.length != size || starts.length != size) {
      throw new IllegalArgumentException(
          "inputs (%d), targets (%d) and starts (%d) must have sequences (%d) x length (%d) elements"
              .formatted(inputs.length, targets.length, starts.length, sequences, length));
    }
  }

  /// The sequences [from, to), copied.
  ///
  /// @throws IndexOutOfBoundsException if there are no such sequences
  public Batch slice(int from, int to) {
    Objects.checkFromToIndex(from, to, sequences);
    return new Batch(
        to - from,
        length,
        Arrays.copyOfRange(inputs, from * length, to * length),
        Arrays.copyOfRange(targets, from * length, to * length),
        Arrays.copyOfRange(starts, from * length, to * length));
  }

  /// Returns the number of targets that are not ignored.
  public long predictions() {
    return Arrays.stream(targets).filter(target -> target != IGNORED).count();
  }

  /// All padding, to be overwritten where there are tokens.
  static Batch padding(int sequences, int length, int endOfText) {
    int size = Math.multiplyExact(sequences, length);
    int[] inputs = new int[size];
    int[] targets = new int[size];
    boolean[] starts = new boolean[size];
    Arrays.fill(inputs, endOfText);
    Arrays.fill(targets, IGNORED);
    Arrays.fill(starts, true);
    return new Batch(sequences, length, inputs, targets, starts);
  }

  /// Reads the inputs [from, to) and their targets into a sequence, from a column on.
  void fill(int sequence, int column, Tokens tokens, long from, long to) {
    if (from >= to) {
      return;
    }
    int count = (int) (to - from);
    int at = sequence * length + column;
    tokens.read(from, inputs, at, count);
    System.arraycopy(inputs, at + 1, targets, at, count - 1);
    targets[at + count - 1] = tokens.get(to);
    for (int i = at; i < at + count; i++) {
      starts[i] = inputs[i] == tokens.endOfText();
    }
  }
}
