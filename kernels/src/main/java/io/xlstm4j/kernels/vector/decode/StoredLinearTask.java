package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.GemvKernel;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.StoredLinearKernel.Part;
import io.xlstm4j.kernels.StoredRows;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightType;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.decode.VectorStoredLinearKernel.Forms;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Some outputs of a [VectorStoredLinearKernel]'s product on one thread, which keeps its scratch
/// from task to task.
final class StoredLinearTask {
  /// Floats of W that are widened at a time: row by row they stay in the first cache, else in the
  /// second.
  private static final int ROW_BY_ROW_FLOATS = 1 << 12;

  private static final int MANY_FLOATS = 1 << 15;
  private static final int TILE = NativeGemv.TILE;
  private static final int MOST_OUTPUTS = 64;
  private static final int ROWS = 64; // of x that are copied to arrays at a time

  private final StoredRows stored = new StoredRows();
  private float[] x = new float[0];
  private float[] w = new float[0];
  private float[] y = new float[0];
  private MemorySegment nativeX = MemorySegment.NULL; // from a line of the cache on
  private MemorySegment nativeW = MemorySegment.NULL; // likewise
  private @Nullable SequenceGemm ofSequences;
  private float[] added = new float[MOST_OUTPUTS];
  private final float[] sums = new float[GemvKernel.SCRATCH];

  /// Row `id` of an embedding matrix to row `to`.
  void lookUp(Forms forms, WeightMatrix embedding, int id, MemoryMatrix rows, int to) {
    int columns = embedding.columns();
    x = fitting(x, columns);
    forms.weights().widen(embedding, id, 1, stored, x, columns);
    SegmentFloats.copy(x, 0, rows.data(), rows.row(to), columns);
  }

  /// Outputs in `[first, end)` of `rows` rows. Sizes and lifetime of all memory have been checked.
  void run(Forms forms, Part part, int rows, int first, int end) {
    if (rows < NativeGemv.FEW) {
      rowByRow(forms, part, rows, first, end);
    } else if ((isInPlace(forms, part.w()) || isStoredInPlace(forms, part.w()))
        && NativeGemv.takesFew()) { // asked where there are vectors
      rowsInPlace(forms, part, rows, first, end);
    } else {
      someRows(forms, part, rows, first, end);
    }
  }

  /// The same for the tokens of a sequence, on vectors.
  ///
  /// @param x the rows of `part`
  void sequence(Forms forms, Part part, PackedActivations x, int tokens, int first, int end) {
    if (ofSequences == null) {
      ofSequences = new SequenceGemm();
    }
    WeightMatrix w = part.w();
    int outputs = end - first;
    y = fitting(y, SequenceGemm.floats(tokens, outputs));
    ofSequences.multiply(forms.weights(), w, isInPlace(forms, w), first, outputs, tokens, x, y);
    store(forms, part, 0, tokens, first, outputs, SequenceGemm.stride(outputs));
  }

  /// W where it lies, or as it is stored, or widened; some outputs of all rows at a time, so that
  /// memory is read once.
  private void rowByRow(Forms forms, Part part, int rows, int first, int end) {
    WeightMatrix matrix = part.w();
    int inputs = matrix.columns();
    int stride = forms.product().stride(inputs);
    boolean inPlace = isInPlace(forms, matrix);
    @Nullable DequantizingGemv asStored = forms.stored();
    if (asStored != null && !DequantizingGemv.takes(matrix)) { // asked where there are vectors
      asStored = null;
    }
    boolean storedInPlace = isStoredInPlace(forms, matrix);
    int most =
        inPlace || storedInPlace
            ? MOST_OUTPUTS
            : Math.clamp(ROW_BY_ROW_FLOATS / stride & ~3, 4, MOST_OUTPUTS);
    x = fitting(x, rows * stride);
    y = fitting(y, rows * most);
    copyRows(forms, part.x(), 0, rows, inputs, stride);
    for (int output = first; output < end; ) {
      int outputs = Math.min(most, end - output);
      if (outputs > TILE) {
        outputs -= outputs % TILE;
      }
      if (inPlace && outputs % TILE == 0) {
        long w = address(matrix, output);
        for (int row = 0; row < rows; row++) {
          NativeGemv.multiplyOne(outputs, inputs, w, x, row, y, sums);
        }
      } else if (storedInPlace && outputs % TILE == 0) {
        for (int row = 0; row < rows; row++) {
          NativeDequantizingGemv.multiply(matrix, output, outputs, x, row, y, sums);
        }
      } else if (asStored != null && outputs % TILE == 0) {
        stored.read(matrix, output, outputs);
        for (int row = 0; row < rows; row++) {
          asStored.multiply(matrix, stored, outputs, x, row, y, sums);
        }
      } else {
        widen(forms, matrix, output, outputs, stride);
        forms.product().multiply(rows, outputs, stride, w, x, y, sums);
      }
      store(forms, part, 0, rows, output, outputs, outputs);
      output += outputs;
    }
  }

  /// W and x by way of arrays.
  private void someRows(Forms forms, Part part, int rows, int first, int end) {
    int inputs = part.w().columns();
    int stride = forms.product().stride(inputs);
    int most = Math.clamp(MANY_FLOATS / stride & ~3, 4, MOST_OUTPUTS);
    x = fitting(x, Math.min(rows, ROWS) * stride);
    y = fitting(y, Math.min(rows, ROWS) * most);
    for (int from = 0; from < rows; from += ROWS) {
      int count = Math.min(ROWS, rows - from);
      copyRows(forms, part.x(), from, count, inputs, stride);
      for (int output = first; output < end; output += most) {
        int outputs = Math.min(most, end - output);
        widen(forms, part.w(), output, outputs, stride);
        forms.product().multiply(count, outputs, stride, w, x, y, sums);
        store(forms, part, from, count, output, outputs, outputs);
      }
    }
  }

  /// W where it lies, or widened; x where it lies if that is at lines of the cache, else in a copy
  /// that is.
  private void rowsInPlace(Forms forms, Part part, int rows, int first, int end) {
    WeightMatrix matrix = part.w();
    int inputs = matrix.columns();
    long xOffset;
    long xRow;
    if (isAligned(part.x())) {
      xOffset = address(part.x(), 0);
      xRow = (long) part.x().stride() * Float.BYTES;
    } else {
      xRow = (long) inputs * Float.BYTES;
      nativeX = fitting(nativeX, rows * xRow);
      for (int row = 0; row < rows; row++) {
        MemorySegment.copy(
            part.x().data(), part.x().row(row) * Float.BYTES, nativeX, row * xRow, xRow);
      }
      xOffset = nativeX.address();
    }
    boolean isFloat = isInPlace(forms, matrix);
    if (!isFloat) {
      nativeW = fitting(nativeW, (long) TILE * inputs * Float.BYTES);
    }
    y = fitting(y, rows * MOST_OUTPUTS);
    for (int output = first; output < end; ) {
      int outputs = Math.min(MOST_OUTPUTS, end - output);
      if (outputs >= TILE) {
        outputs -= outputs % TILE;
        if (isFloat) {
          long w = address(matrix, output);
          NativeGemv.multiplyFew(rows, outputs, inputs, w, xOffset, xRow, y, sums);
        } else {
          long wide = nativeW.address();
          NativeDequantizingGemv.multiplyFew(
              matrix, output, rows, outputs, wide, xOffset, xRow, y, sums);
        }
        store(forms, part, 0, rows, output, outputs, outputs);
      } else {
        someRows(forms, part, rows, output, end);
      }
      output += outputs;
    }
  }

  /// Returns whether W can be read where it lies: float32 in native memory, rows of whole vectors.
  private static boolean isInPlace(Forms forms, WeightMatrix w) {
    return forms.isNative()
        && w.type() == WeightType.F32
        && w.data().isNative()
        && forms.product().stride(w.columns()) == w.columns();
  }

  /// Returns whether W can be read where it lies though it is not float32.
  private static boolean isStoredInPlace(Forms forms, WeightMatrix w) {
    return forms.isNative() && NativeDequantizingGemv.takes(w);
  }

  private static long address(WeightMatrix w, int row) {
    return w.data().address() + (long) row * w.columns() * w.type().bytes();
  }

  private static long address(MemoryMatrix rows, int row) {
    return rows.data().address() + rows.row(row) * Float.BYTES;
  }

  private static boolean isAligned(MemoryMatrix x) {
    long row = (long) x.stride() * Float.BYTES;
    return x.data().isNative()
        && address(x, 0) % NativeGemv.LINE == 0
        && row % NativeGemv.LINE == 0;
  }

  private void copyRows(
      Forms forms, MemoryMatrix rows, int from, int count, int inputs, int stride) {
    for (int row = 0; row < count; row++) {
      long offset = rows.row(from + row);
      if (forms.stored() != null) {
        SegmentVectors.read(rows.data(), offset, x, row * stride, inputs);
      } else {
        SegmentFloats.copy(rows.data(), offset, x, row * stride, inputs);
      }
      clear(x, row * stride + inputs, (row + 1) * stride);
    }
  }

  private void widen(Forms forms, WeightMatrix matrix, int first, int outputs, int stride) {
    w = fitting(w, outputs * stride);
    forms.weights().widen(matrix, first, outputs, stored, w, stride);
    for (int o = 0; o < outputs; o++) {
      clear(w, o * stride + matrix.columns(), (o + 1) * stride);
    }
  }

  private static void clear(float[] data, int from, int end) {
    for (int i = from; i < end; i++) {
      data[i] = 0;
    }
  }

  /// Writes y to rows from `from` on, outputs from `output` on.
  ///
  /// @param stride floats from one row of y to the next
  private void store(
      Forms forms, Part part, int from, int count, int output, int outputs, int stride) {
    MemorySegment to = part.y().data();
    @Nullable MemorySegment bias = part.bias();
    boolean inPlace =
        forms.isNative()
            && outputs % forms.product().stride(1) == 0
            && to.isNative()
            && (bias == null || bias.isNative());
    long biasOffset = inPlace && bias != null ? bias.address() + (long) output * Float.BYTES : 0;
    for (int row = 0; row < count; row++) {
      long offset = part.y().row(from + row) + output;
      int start = row * stride;
      if (inPlace) {
        long address = to.address() + offset * Float.BYTES;
        NativeGemv.write(y, start, outputs, biasOffset, part.add(), address);
        continue;
      }
      if (bias != null) {
        add(bias, output, outputs, start);
      }
      if (part.add()) {
        add(to, offset, outputs, start);
      }
      SegmentFloats.copy(y, start, to, offset, outputs);
    }
  }

  private void add(MemorySegment from, long offset, int count, int start) {
    added = fitting(added, count);
    SegmentFloats.copy(from, offset, added, 0, count);
    for (int i = 0; i < count; i++) {
      y[start + i] += added[i];
    }
  }

  /// An array with room; what the old one held is lost if it had none.
  static float[] fitting(float[] has, int floats) {
    return has.length >= floats ? has : new float[floats];
  }

  /// The collector has it when this is gone.
  private static MemorySegment fitting(MemorySegment has, long bytes) {
    return has.byteSize() >= bytes ? has : Arena.ofAuto().allocate(bytes, NativeGemv.LINE);
  }
}
