package io.xlstm4j.kernels;

import io.xlstm4j.kernels.Projector.Forms;
import io.xlstm4j.kernels.Projector.Part;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Some outputs of a [Projector]'s product on one thread, which keeps its scratch from task to
/// task.
final class ProjectorTask {
  /// Floats of W that are widened at a time: for one row they stay in the first cache, for several
  /// in the second.
  private static final int ONE_ROW_FLOATS = 1 << 12;

  private static final int MANY_FLOATS = 1 << 15;
  private static final int TILE = NativeRowsProduct.TILE;
  private static final int MOST_OUTPUTS = 64;
  private static final int ROWS = 64; // of x that are copied to arrays at a time

  /// Floats of W that are packed at a time, which stay in the second cache while x goes by.
  private static final int PACKED_FLOATS = 1 << 17;

  /// Rows for which W is read so few times that a copy does not pay.
  private static final int FEW_ROWS = 8;

  /// Rows for which it pays to widen W to an array and copy that.
  private static final int MANY_ROWS = 32;

  private final StoredRows stored = new StoredRows();
  private float[] x = new float[0];
  private float[] w = new float[0];
  private float[] y = new float[0];
  private MemorySegment nativeX = MemorySegment.NULL; // from a line of the cache on
  private MemorySegment nativeW = MemorySegment.NULL;
  private final float[] added = new float[MOST_OUTPUTS];
  private final float[] sums = new float[RowsProductKernel.SCRATCH];

  /// Row `id` of an embedding matrix to row `to`.
  void lookUp(Forms forms, WeightMatrix embedding, int id, FloatRows rows, int to) {
    int columns = embedding.columns();
    x = fitting(x, columns);
    forms.weights().widen(embedding, id, 1, stored, x, columns);
    SegmentFloats.copy(x, 0, rows.data(), rows.row(to), columns);
  }

  /// Outputs in `[first, end)` of `rows` rows. Sizes and lifetime of all memory have been checked.
  void run(Forms forms, Part part, int rows, int first, int end) {
    if (rows == 1) {
      oneRow(forms, part, first, end);
      return;
    }
    int fewest = isInPlace(forms, part.w()) ? NativeRowsProduct.FEW : MANY_ROWS;
    if (forms.isNative() && NativeRowsProduct.takesMany() && rows >= fewest) {
      manyRows(forms, part, rows, first, end);
    } else {
      someRows(forms, part, rows, first, end);
    }
  }

  /// W where it lies, or as it is stored, or widened.
  private void oneRow(Forms forms, Part part, int first, int end) {
    WeightMatrix matrix = part.w();
    int inputs = matrix.columns();
    int stride = forms.product().stride(inputs);
    boolean inPlace = isInPlace(forms, matrix);
    @Nullable StoredProductKernel asStored = forms.stored();
    if (asStored != null && !StoredProductKernel.takes(matrix)) { // asked where there are vectors
      asStored = null;
    }
    boolean storedInPlace = forms.isNative() && NativeStoredProduct.takes(matrix);
    int most =
        inPlace || storedInPlace
            ? MOST_OUTPUTS
            : Math.clamp(ONE_ROW_FLOATS / stride & ~3, 4, MOST_OUTPUTS);
    x = fitting(x, stride);
    y = fitting(y, most);
    copyRows(forms, part.x(), 0, 1, inputs, stride);
    for (int output = first; output < end; ) {
      int outputs = Math.min(most, end - output);
      if (outputs > TILE) {
        outputs -= outputs % TILE;
      }
      if (inPlace && outputs % TILE == 0) {
        NativeRowsProduct.multiplyOne(outputs, inputs, address(matrix, output), x, y, sums);
      } else if (storedInPlace && outputs % TILE == 0) {
        NativeStoredProduct.multiply(matrix, output, outputs, x, y, sums);
      } else if (asStored != null && outputs % TILE == 0) {
        stored.read(matrix, output, outputs);
        asStored.multiply(matrix, stored, outputs, x, y, sums);
      } else {
        widen(forms, matrix, output, outputs, stride);
        forms.product().multiply(1, outputs, stride, w, x, y, sums);
      }
      store(forms, part, 0, 1, output, outputs, outputs);
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

  /// x where it lies if that is at lines of the cache, else in a copy that is; W packed, some
  /// outputs at a time, or for few rows where it lies.
  private void manyRows(Forms forms, Part part, int rows, int first, int end) {
    WeightMatrix matrix = part.w();
    int stride = forms.product().stride(matrix.columns());
    long strideBytes = (long) stride * Float.BYTES;
    int most = Math.clamp(PACKED_FLOATS / stride & -16, 16, MOST_OUTPUTS);
    boolean xInPlace = isAligned(part.x()) && stride == matrix.columns();
    boolean wInPlace = rows <= FEW_ROWS && isInPlace(forms, matrix);
    if (!xInPlace) {
      nativeX = fitting(nativeX, rows * strideBytes);
      copyRowsToNative(part.x(), rows, matrix.columns(), stride);
    }
    long xAt = xInPlace ? address(part.x(), 0) : nativeX.address();
    long xRow = xInPlace ? (long) part.x().stride() * Float.BYTES : strideBytes;
    y = fitting(y, rows * (most + NativeRowsProduct.PANEL));
    for (int output = first; output < end; output += most) {
      int outputs = Math.min(most, end - output);
      int width = outputs; // of a row of y
      if (wInPlace && outputs % TILE == 0) {
        long w = address(matrix, output);
        NativeRowsProduct.multiplyFew(rows, outputs, stride, w, xAt, xRow, y, sums);
      } else {
        nativeW = fitting(nativeW, most * strideBytes);
        pack(forms, matrix, output, outputs, stride);
        int panels = Math.ceilDiv(outputs, NativeRowsProduct.PANEL);
        int packed = panels * NativeRowsProduct.PANEL;
        long w = nativeW.address();
        NativeRowsProduct.multiply(rows, packed, stride, w, xAt, xRow, y, sums);
        width = packed + NativeRowsProduct.PANEL;
      }
      store(forms, part, 0, rows, output, outputs, width);
    }
  }

  /// Whether W can be read where it lies: float32 in native memory, rows of whole vectors.
  private static boolean isInPlace(Forms forms, WeightMatrix w) {
    return forms.isNative()
        && w.type() == WeightType.F32
        && w.data().isNative()
        && forms.product().stride(w.columns()) == w.columns();
  }

  private static long address(WeightMatrix w, int row) {
    return w.data().address() + (long) row * w.columns() * w.type().bytes();
  }

  private static long address(FloatRows rows, int row) {
    return rows.data().address() + rows.row(row) * Float.BYTES;
  }

  private static boolean isAligned(FloatRows x) {
    long row = (long) x.stride() * Float.BYTES;
    return x.data().isNative()
        && address(x, 0) % NativeRowsProduct.LINE == 0
        && row % NativeRowsProduct.LINE == 0;
  }

  private void copyRows(Forms forms, FloatRows rows, int from, int count, int inputs, int stride) {
    for (int row = 0; row < count; row++) {
      long at = rows.row(from + row);
      if (forms.stored() != null) {
        SegmentFloats.read(rows.data(), at, x, row * stride, inputs);
      } else {
        SegmentFloats.copy(rows.data(), at, x, row * stride, inputs);
      }
      clear(x, row * stride + inputs, (row + 1) * stride);
    }
  }

  private void copyRowsToNative(FloatRows rows, int count, int inputs, int stride) {
    for (int row = 0; row < count; row++) {
      long at = rows.row(row) * Float.BYTES;
      long to = (long) row * stride;
      MemorySegment.copy(rows.data(), at, nativeX, to * Float.BYTES, (long) inputs * Float.BYTES);
      SegmentFloats.zero(nativeX, to + inputs, stride - inputs);
    }
  }

  private void widen(Forms forms, WeightMatrix matrix, int first, int outputs, int stride) {
    w = fitting(w, outputs * stride);
    forms.weights().widen(matrix, first, outputs, stored, w, stride);
    for (int o = 0; o < outputs; o++) {
      clear(w, o * stride + matrix.columns(), (o + 1) * stride);
    }
  }

  private void pack(Forms forms, WeightMatrix matrix, int first, int outputs, int stride) {
    if (isInPlace(forms, matrix)) {
      NativeRowsProduct.pack(outputs, stride, address(matrix, first), nativeW.address());
    } else {
      widen(forms, matrix, first, outputs, stride);
      NativeRowsProduct.pack(outputs, stride, w, nativeW.address());
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
    for (int row = 0; row < count; row++) {
      long at = part.y().row(from + row) + output;
      int start = row * stride;
      if (bias != null) {
        add(inPlace, bias, output, outputs, start);
      }
      if (part.add()) {
        add(inPlace, to, at, outputs, start);
      }
      if (inPlace) {
        NativeRowsProduct.write(y, start, outputs, to.address() + at * Float.BYTES);
      } else {
        SegmentFloats.copy(y, start, to, at, outputs);
      }
    }
  }

  private void add(boolean inPlace, MemorySegment from, long at, int count, int start) {
    if (inPlace) {
      NativeRowsProduct.add(y, start, count, from.address() + at * Float.BYTES);
      return;
    }
    SegmentFloats.copy(from, at, added, 0, count);
    for (int i = 0; i < count; i++) {
      y[start + i] += added[i];
    }
  }

  private static float[] fitting(float[] has, int floats) {
    return has.length >= floats ? has : new float[floats];
  }

  /// The collector has it when this is gone.
  private static MemorySegment fitting(MemorySegment has, long bytes) {
    return has.byteSize() >= bytes ? has : Arena.ofAuto().allocate(bytes, NativeRowsProduct.LINE);
  }
}
