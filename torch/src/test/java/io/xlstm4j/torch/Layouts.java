package io.xlstm4j.torch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/// A batch layout spelled out, for tests: the length of each row and where its documents start.
///
/// @param width S
/// @param lengths by row
/// @param starts by row, the positions at which documents start
record Layouts(int width, List<Integer> lengths, List<List<Integer>> starts) {
  /// A run of tokens that belong together.
  ///
  /// @param fresh whether it starts from a fresh row instead of the row's state
  record Run(int row, int from, int to, boolean fresh) {
    int length() {
      return to - from;
    }
  }

  static Layouts ofLengths(int width, Integer... lengths) {
    return new Layouts(
        width, List.of(lengths), IntStream.range(0, lengths.length).mapToObj(_ -> none()).toList());
  }

  private static List<Integer> none() {
    return List.of();
  }

  int rows() {
    return lengths.size();
  }

  SequenceLayout masks() {
    boolean[] valid = new boolean[rows() * width];
    boolean[] start = new boolean[rows() * width];
    for (int row = 0; row < rows(); row++) {
      for (int t = 0; t < width; t++) {
        valid[row * width + t] = t < lengths.get(row);
        start[row * width + t] = starts.get(row).contains(t);
      }
    }
    boolean full = lengths.stream().allMatch(length -> length == width);
    boolean whole = starts.stream().allMatch(List::isEmpty);
    return new SequenceLayout(
        full ? null : Tensors.of(valid, rows(), width),
        whole ? null : Tensors.of(start, rows(), width));
  }

  /// The runs of each row in order, those without tokens left out.
  List<Run> runs() {
    var runs = new ArrayList<Run>();
    for (int row = 0; row < rows(); row++) {
      int end = lengths.get(row);
      int from = 0;
      boolean fresh = false;
      for (int t = 0; t < end; t++) {
        if (starts.get(row).contains(t)) {
          if (t > from) {
            runs.add(new Run(row, from, t, fresh));
          }
          from = t;
          fresh = true;
        }
      }
      if (end > from) {
        runs.add(new Run(row, from, end, fresh));
      }
    }
    return runs;
  }

  /// `x` with NaN where the padding is.
  ///
  /// @param axis that of the positions; that of the rows is 0
  Tensor withNanPadding(Tensor x, int axis) {
    SequenceLayout masks = masks();
    if (masks.valid() == null) {
      return x;
    }
    long[] shape = new long[(int) x.dim()];
    Arrays.fill(shape, 1);
    shape[0] = rows();
    shape[axis] = width;
    return Ops.whereElse(masks.valid().view(shape), x, Double.NaN);
  }
}
