package io.xlstm4j.kernels;

import io.xlstm4j.kernels.MatrixProduct.Block;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ConcurrentLinkedQueue;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// [LinearKernel] on [VectorMatrixProduct]: the right-hand matrix is packed once into panels that
/// stay in the first cache while all rows go by (Goto and van de Geijn 2008, "Anatomy of
/// high-performance matrix multiplication").
public final class VectorLinearKernel implements LinearKernel {
  private static final int LANES = FloatVector.SPECIES_PREFERRED.length();

  /// Columns of a panel: the widest tile.
  private static final int PANEL = 4 * LANES;

  /// Inner index of a panel: `DEPTH * PANEL` floats are half of the first cache or less.
  private static final int DEPTH = 128;

  /// Rows of a task.
  private static final int ROWS = 64;

  /// Outputs and inputs of a task of the weight's gradient.
  private static final int SLICE = 128;

  private final ConcurrentLinkedQueue<Scratch> scratch = new ConcurrentLinkedQueue<>();

  /// A right-hand matrix `(panels, k, PANEL)`, zeros behind its last column; that of a narrow
  /// product as [NarrowProduct] packs it.
  record Panels(int k, int columns, float[] data) implements Ready {
    void check(int neededK, int neededColumns) {
      if (k != neededK || columns != neededColumns) {
        throw new IllegalArgumentException(
            "the weight is ready for a product over %d to %d columns, not over %d to %d"
                .formatted(k, columns, neededK, neededColumns));
      }
    }
  }

  @Override
  public Ready forForward(int in, int out, MemorySegment w, Workers workers) {
    var weight = new Rows(w, in);
    if (out <= NarrowProduct.MOST_OUTS) {
      return new Panels(in, out, NarrowProduct.pack(weight, in, out));
    }
    int panels = Math.ceilDiv(out, PANEL);
    float[] packed = new float[panels * in * PANEL];
    workers.run(panels, panel -> with(work -> work.packTurned(in, out, weight, panel, packed)));
    return new Panels(in, out, packed);
  }

  @Override
  public Ready forBackward(int in, int out, MemorySegment w, Workers workers) {
    var weight = new Rows(w, in);
    int panels = Math.ceilDiv(in, PANEL);
    float[] packed = new float[panels * out * PANEL];
    workers.run(
        panels, panel -> pack(weight, 0, out, panel * PANEL, in, packed, panel * out * PANEL));
    return new Panels(out, in, packed);
  }

  @Override
  public void forward(
      Size size,
      Rows x,
      Ready w,
      @Nullable MemorySegment bias,
      @Nullable Rows plus,
      Rows y,
      Workers workers) {
    size.check(x, y, bias);
    size.checkPlus(plus, size.out());
    var panels = (Panels) w;
    panels.check(size.in(), size.out());
    if (size.out() <= NarrowProduct.MOST_OUTS) {
      int in = size.in();
      workers.run(
          Math.ceilDiv(size.rows(), ROWS),
          number -> {
            int last = Math.min((number + 1) * ROWS, size.rows());
            NarrowProduct.run(number * ROWS, last, in, size.out(), x, panels.data, bias, plus, y);
          });
      return;
    }
    product(size.rows(), size.in(), size.out(), x, panels.data, bias, plus, y, workers);
  }

  @Override
  public void backwardInput(
      Size size, Rows dy, Ready w, @Nullable Rows plus, Rows dx, Workers workers) {
    size.check(dx, dy, null);
    size.checkPlus(plus, size.in());
    var panels = (Panels) w;
    panels.check(size.out(), size.in());
    product(size.rows(), size.out(), size.in(), dy, panels.data, null, plus, dx, workers);
  }

  /// `c = a b`, `b` as panels `(panels, k, PANEL)`. A task is some rows.
  private void product(
      int rows,
      int k,
      int n,
      Rows a,
      float[] b,
      @Nullable MemorySegment bias,
      @Nullable Rows plus,
      Rows c,
      Workers workers) {
    workers.run(
        Math.ceilDiv(rows, ROWS),
        number ->
            with(work -> {
              int first = number * ROWS;
              work.product(first, Math.min(ROWS, rows - first), k, n, a, b, bias, plus, c);
            }));
  }

  @Override
  public void backwardWeight(
      Size size,
      Rows x,
      Rows dy,
      MemorySegment dw,
      @Nullable MemorySegment dBias,
      boolean add,
      Workers workers) {
    size.check(x, dy, dBias);
    size.checkWeight(dw);
    int across = Math.ceilDiv(size.in(), SLICE);
    workers.run(
        across * Math.ceilDiv(size.out(), SLICE),
        number ->
            with(work ->
                work.weight(
                    size,
                    number / across * SLICE,
                    number % across * SLICE,
                    x,
                    dy,
                    dw,
                    dBias,
                    add)));
  }

  private interface Use {
    void on(Scratch work);
  }

  private void with(Use use) {
    @Nullable Scratch free = scratch.poll();
    Scratch work = free == null ? new Scratch() : free;
    use.on(work);
    scratch.add(work);
  }

  /// Columns `[column, column + PANEL)` of some rows, zeros behind the last column.
  private static void pack(
      Rows from, int row, int rows, int column, int columns, float[] to, int at) {
    int count = Math.min(PANEL, columns - column);
    for (int i = 0; i < rows; i++) {
      long source = (long) (row + i) * from.stride() + column;
      SegmentFloats.read(from.data(), source, to, at + i * PANEL, count);
    }
  }

  /// What one thread works in.
  private static final class Scratch {
    private final VectorMatrixProduct product = new VectorMatrixProduct();
    private final float[] tile = new float[Math.max(ROWS * PANEL, SLICE * SLICE)];
    private float[] left = new float[0];
    private final float[] right = new float[SLICE * SLICE];

    /// Panel of Wᵀ: outputs `[panel * PANEL, ...)` as columns.
    void packTurned(int in, int out, Rows weight, int panel, float[] packed) {
      int first = panel * PANEL;
      int count = Math.min(PANEL, out - first);
      fitLeft(count * in);
      for (int o = 0; o < count; o++) {
        SegmentFloats.read(weight.data(), (long) (first + o) * weight.stride(), left, o * in, in);
      }
      product.transpose(
          count, in, new Block(left, 0, in), new Block(packed, panel * in * PANEL, PANEL));
    }

    private void fitLeft(int floats) {
      if (left.length < floats) {
        left = new float[floats];
      }
    }

    void product(
        int first,
        int rows,
        int k,
        int n,
        Rows a,
        float[] b,
        @Nullable MemorySegment bias,
        @Nullable Rows plus,
        Rows c) {
      fitLeft(rows * k);
      for (int i = 0; i < rows; i++) {
        SegmentFloats.read(a.data(), (long) (first + i) * a.stride(), left, i * k, k);
      }
      var sum = new Block(tile, 0, PANEL);
      for (int column = 0; column < n; column += PANEL) {
        int count = Math.min(PANEL, n - column);
        for (int depth = 0; depth < k; depth += DEPTH) {
          product.multiply(
              rows,
              count,
              Math.min(DEPTH, k - depth),
              new Block(left, depth, k),
              new Block(b, column * k + depth * PANEL, PANEL),
              sum,
              depth > 0);
        }
        if (bias != null) {
          addBias(bias, column, rows, count);
        }
        for (int i = 0; i < rows; i++) {
          long to = (long) (first + i) * c.stride() + column;
          if (plus != null) {
            add(plus.data(), (long) (first + i) * plus.stride() + column, i * PANEL, count);
          }
          SegmentFloats.write(tile, i * PANEL, c.data(), to, count);
        }
      }
    }

    private void addBias(MemorySegment bias, int column, int rows, int count) {
      for (int j = 0; j < count; j++) {
        float b = SegmentFloats.get(bias, column + j);
        for (int i = 0; i < rows; i++) {
          tile[i * PANEL + j] += b;
        }
      }
    }

    private void add(MemorySegment from, long index, int to, int count) {
      int j = 0;
      for (; j + LANES <= count; j += LANES) {
        FloatVector sum = FloatVector.fromArray(FloatVector.SPECIES_PREFERRED, tile, to + j);
        sum.add(SegmentFloats.load(from, index + j)).intoArray(tile, to + j);
      }
      for (; j < count; j++) {
        tile[to + j] += SegmentFloats.get(from, index + j);
      }
    }

    /// Outputs from `out` on, inputs from `in` on, of the weight's gradient.
    void weight(
        Size size,
        int out,
        int in,
        Rows x,
        Rows dy,
        MemorySegment dw,
        @Nullable MemorySegment dBias,
        boolean add) {
      int outs = Math.min(SLICE, size.out() - out);
      int ins = Math.min(SLICE, size.in() - in);
      fitLeft(DEPTH * SLICE);
      float[] sums = new float[dBias == null || in > 0 ? 0 : outs];
      if (add) {
        for (int i = 0; i < outs; i++) {
          SegmentFloats.read(dw, (long) (out + i) * size.in() + in, tile, i * SLICE, ins);
        }
        if (sums.length > 0 && dBias != null) {
          SegmentFloats.read(dBias, out, sums, 0, outs);
        }
      }
      for (int row = 0; row < size.rows(); row += DEPTH) {
        int depth = Math.min(DEPTH, size.rows() - row);
        for (int i = 0; i < depth; i++) {
          SegmentFloats.read(
              dy.data(), (long) (row + i) * dy.stride() + out, left, i * SLICE, outs);
          for (int j = 0; j < sums.length; j++) {
            sums[j] += left[i * SLICE + j];
          }
        }
        for (int column = 0; column < ins; column += PANEL) {
          pack(x, row, depth, in + column, size.in(), right, column * DEPTH);
          product.multiplyTransposedLeft(
              outs,
              Math.min(PANEL, ins - column),
              depth,
              new Block(left, 0, SLICE),
              new Block(right, column * DEPTH, PANEL),
              new Block(tile, column, SLICE),
              add || row > 0);
        }
      }
      for (int i = 0; i < outs; i++) {
        long to = (long) (out + i) * size.in() + in;
        SegmentFloats.write(tile, i * SLICE, dw, to, ins);
      }
      if (sums.length > 0 && dBias != null) {
        SegmentFloats.write(sums, 0, dBias, out, outs);
      }
    }
  }
}
