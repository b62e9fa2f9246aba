package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.arange;

import java.util.Arrays;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The positions of a batch `(B, S)` that hold tokens, and those where documents start.
///
/// A position past its sequence's length leaves the state as it was; its output means nothing. At a
/// document start the state is that of a fresh sequence; a start in the padding is none. Either way
/// a sequence's results are those of the sequence alone, whatever the padding holds, infinities and
/// NaN included.
///
/// @param valid `(B, S)` booleans, true for the first `length` positions of a sequence; null for
///   all
/// @param starts `(B, S)` booleans, true at the first token of a document; null for none
public record SequenceLayout(@Nullable Tensor valid, @Nullable Tensor starts) {
  /// Every position is a token, no document starts.
  public static final SequenceLayout FULL = new SequenceLayout(null, null);

  /// Rows of the given lengths, padded behind.
  ///
  /// @param lengths `(B)` integers in `[0, S]`
  public static SequenceLayout ofLengths(Tensor lengths, long sequenceLength) {
    Tensor positions =
        arange(new Scalar(sequenceLength), new TensorOptions(lengths.device())).unsqueeze(0);
    return new SequenceLayout(positions.lt(lengths.unsqueeze(1)), null);
  }

  /// Rows that are all tokens, with documents starting where `starts` is true.
  public static SequenceLayout ofStarts(Tensor starts) {
    return new SequenceLayout(null, starts);
  }

  /// The positions `[from, from + length)`.
  SequenceLayout narrow(long from, long length) {
    return new SequenceLayout(
        valid == null ? null : valid.narrow(1, from, length),
        starts == null ? null : starts.narrow(1, from, length));
  }

  /// The same layout with its masks where the data is.
  SequenceLayout on(Device device) {
    return new SequenceLayout(
        valid == null ? null : valid.to(device, ScalarType.Bool),
        starts == null ? null : starts.to(device, ScalarType.Bool));
  }

  /// Returns the document of each position, counted from the one that the sequence entered with:
  /// `(B, S)` int64. Null if no document starts.
  @Nullable Tensor documents() {
    if (starts == null) {
      return null;
    }
    return (valid == null ? starts : starts.logical_and(valid)).cumsum(1);
  }

  /// Zeros for what the padding holds: selected away later, a NaN would still spoil the gradients.
  ///
  /// @param x with B as its first axis
  /// @param axis that of the positions
  Tensor padded(Tensor x, int axis) {
    if (valid == null) {
      return x;
    }
    long[] shape = new long[(int) x.dim()];
    Arrays.fill(shape, 1);
    shape[0] = valid.size(0);
    shape[axis] = valid.size(1);
    return Ops.whereElse(valid.reshape(shape), x, 0);
  }

  /// @throws IllegalArgumentException if a mask does not have the shape of the batch
  void check(long batch, long length) {
    if (valid != null) {
      Ops.expectShape("valid", valid, "(B, S)", batch, length);
    }
    if (starts != null) {
      Ops.expectShape("starts", starts, "(B, S)", batch, length);
    }
  }
}
