package io.xlstm4j.kernels.vector.gemm;

import io.xlstm4j.kernels.GemmKernel.Block;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.vector.math.NativeFloats;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ConcurrentLinkedQueue;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/// [LinearKernel] on [PackedGemm]: the right-hand matrix is packed once into panels that stay in
/// the first cache while some rows go by (Goto and van de Geijn 2008, "Anatomy of high-performance
/// matrix multiplication").
public final class VectorLinearKernel implements LinearKernel {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();
  private static final int PANEL = PackedGemm.WIDE; // columns
  private static final int DEPTH = PackedGemm.DEEP; // inner index of a block
  private static final int STRIDE = PackedGemm.STRIDE;

  /// Rows of a task, whole tiles; with a panel they fit the first cache.
  private static final int ROWS = 36;

  /// Outputs and inputs of a task of the weight's gradient.
  private static final int SLICE = 128;

  private final ConcurrentLinkedQueue<Scratch> scratch = new ConcurrentLinkedQueue<>();

  /// A right-hand matrix `(panels, k, PANEL)`, zeros behind its last column; that of a narrow
  /// product as [SkinnyGemm] packs it.
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
  public Ready forForward(int in, int out, MemorySegment w, KernelThreads threads) {
    var weight = new StridedMatrix(w, in);
    if (out <= SkinnyGemm.MOST_OUTS) {
      return new Panels(in, out, SkinnyGemm.pack(weight, in, out));
    }
    int panels = Math.ceilDiv(out, PANEL);
    float[] packed = new float[panels * in * PANEL];
    threads.run(panels, panel -> with(work -> work.packTurned(in, out, weight, panel, packed)));
    return new Panels(in, out, packed);
  }

  @Override
  public Ready forBackward(int in, int out, MemorySegment w, KernelThreads threads) {
    var weight = new StridedMatrix(w, in);
    int panels = Math.ceilDiv(in, PANEL);
    float[] packed = new float[panels * out * PANEL];
    threads.run(
        panels, panel -> pack(weight, 0, out, panel * PANEL, in, packed, panel * out * PANEL));
    return new Panels(out, in, packed);
  }

  @Override
  public void forward(
      Size size,
      StridedMatrix x,
      Ready w,
      @Nullable MemorySegment bias,
      @Nullable StridedMatrix addend,
      StridedMatrix y,
      KernelThreads threads) {
    size.check(x, y, bias);
    size.checkPlus(addend, size.out());
    var panels = (Panels) w;
    panels.check(size.in(), size.out());
    if (size.out() <= SkinnyGemm.MOST_OUTS) {
      int in = size.in();
      threads.run(
          Math.ceilDiv(size.rows(), ROWS),
          number -> {
            int last = Math.min((number + 1) * ROWS, size.rows());
            SkinnyGemm.run(number * ROWS, last, in, size.out(), x, panels.data, bias, addend, y);
          });
      return;
    }
    product(size.rows(), size.in(), size.out(), x, panels.data, bias, addend, y, threads);
  }

  @Override
  public void backwardInput(
      Size size,
      StridedMatrix dy,
      Ready w,
      @Nullable StridedMatrix addend,
      StridedMatrix dx,
      KernelThreads threads) {
    size.check(dx, dy, null);
    size.checkPlus(addend, size.in());
    var panels = (Panels) w;
    panels.check(size.out(), size.in());
    product(size.rows(), size.out(), size.in(), dy, panels.data, null, addend, dx, threads);
  }

  /// `c = a b`, `b` as panels `(panels, k, PANEL)`. A task is some rows.
  private void product(
      int rows,
      int k,
      int n,
      StridedMatrix a,
      float[] b,
      @Nullable MemorySegment bias,
      @Nullable StridedMatrix addend,
      StridedMatrix c,
      KernelThreads threads) {
    threads.run(
        Math.ceilDiv(rows, ROWS),
        number ->
            with(work -> {
              int first = number * ROWS;
              work.product(first, Math.min(ROWS, rows - first), k, n, a, b, bias, addend, c);
            }));
  }

  @Override
  public void backwardWeight(
      Size size,
      StridedMatrix x,
      StridedMatrix dy,
      MemorySegment dw,
      @Nullable MemorySegment dBias,
      boolean add,
      KernelThreads threads) {
    size.check(x, dy, dBias);
    size.checkWeight(dw);
    int across = Math.ceilDiv(size.in(), SLICE);
    threads.run(
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
      StridedMatrix from, int row, int rows, int column, int columns, float[] to, int offset) {
    int count = Math.min(PANEL, columns - column);
    for (int i = 0; i < rows; i++) {
      long source = (long) (row + i) * from.stride() + column;
      SegmentVectors.read(from.data(), source, to, offset + i * PANEL, count);
    }
  }

  /// The workspace of one thread.
  private static final class Scratch {
    private final Transposition transposition = new Transposition();
    private float[] plain = new float[0];
    private float[] left = new float[DEPTH * STRIDE];
    private final float[] right = new float[SLICE * SLICE]; // (panels, DEPTH, PANEL)
    private final float[] tile = new float[SLICE * SLICE]; // of the weight's gradient
    private final float[] result = new float[ROWS * PANEL];

    /// Panel of Wᵀ: outputs `[panel * PANEL, ...)` as columns.
    void packTurned(int in, int out, StridedMatrix weight, int panel, float[] packed) {
      int first = panel * PANEL;
      int count = Math.min(PANEL, out - first);
      if (plain.length < count * in) {
        plain = new float[count * in];
      }
      for (int o = 0; o < count; o++) {
        SegmentVectors.read(weight.data(), (long) (first + o) * weight.stride(), plain, o * in, in);
      }
      transposition.run(
          count, in, new Block(plain, 0, in), new Block(packed, panel * in * PANEL, PANEL));
    }

    void product(
        int first,
        int rows,
        int k,
        int n,
        StridedMatrix a,
        float[] b,
        @Nullable MemorySegment bias,
        @Nullable StridedMatrix addend,
        StridedMatrix c) {
      int blocks = Math.ceilDiv(k, DEPTH);
      if (left.length < blocks * ROWS * STRIDE) {
        left = new float[blocks * ROWS * STRIDE];
      }
      for (int i = 0; i < rows; i++) {
        long from = (long) (first + i) * a.stride();
        for (int block = 0; block < blocks; block++) {
          int depth = block * DEPTH;
          int to = (block * ROWS + i) * STRIDE;
          SegmentVectors.read(a.data(), from + depth, left, to, Math.min(DEPTH, k - depth));
        }
      }
      for (int column = 0; column < n; column += PANEL) {
        for (int block = 0; block < blocks; block++) {
          int depth = block * DEPTH;
          PackedGemm.multiply(
              rows,
              Math.min(DEPTH, k - depth),
              left,
              block * ROWS * STRIDE,
              b,
              column * k + depth * PANEL,
              result,
              0,
              PANEL,
              depth > 0);
        }
        for (int offset = 0; offset < Math.min(PANEL, n - column); offset += LANES) {
          write(first, rows, offset, column + offset, n, bias, addend, c);
        }
      }
    }

    /// A vector of columns of the result, `column` in all, and what is to be added to it.
    private void write(
        int first,
        int rows,
        int offset,
        int column,
        int columns,
        @Nullable MemorySegment bias,
        @Nullable StridedMatrix addend,
        StridedMatrix c) {
      int count = columns - column;
      FloatVector toAll =
          bias == null ? FloatVector.zero(SPECIES) : NativeFloats.load(bias, column, count);
      for (int i = 0; i < rows; i++) {
        FloatVector sum = FloatVector.fromArray(SPECIES, result, i * PANEL + offset).add(toAll);
        if (addend != null) {
          long from = (long) (first + i) * addend.stride() + column;
          sum = sum.add(NativeFloats.load(addend.data(), from, count));
        }
        NativeFloats.store(sum, c.data(), (long) (first + i) * c.stride() + column, count);
      }
    }

    /// Outputs from `out` on, inputs from `in` on, of the weight's gradient.
    void weight(
        Size size,
        int out,
        int in,
        StridedMatrix x,
        StridedMatrix dy,
        MemorySegment dw,
        @Nullable MemorySegment dBias,
        boolean add) {
      int outs = Math.min(SLICE, size.out() - out);
      int ins = Math.min(SLICE, size.in() - in);
      float[] sums = new float[dBias == null || in > 0 ? 0 : outs];
      if (add) {
        for (int i = 0; i < outs; i++) {
          SegmentVectors.read(dw, (long) (out + i) * size.in() + in, tile, i * SLICE, ins);
        }
        if (sums.length > 0 && dBias != null) {
          SegmentVectors.read(dBias, out, sums, 0, outs);
        }
      }
      for (int row = 0; row < size.rows(); row += DEPTH) {
        int depth = Math.min(DEPTH, size.rows() - row);
        for (int i = 0; i < depth; i++) {
          SegmentVectors.read(
              dy.data(), (long) (row + i) * dy.stride() + out, left, i * STRIDE, outs);
          for (int j = 0; j < sums.length; j++) {
            sums[j] += left[i * STRIDE + j];
          }
        }
        for (int column = 0; column < ins; column += PANEL) {
          pack(x, row, depth, in + column, size.in(), right, column * DEPTH);
          PackedGemm.multiplyTurned(
              outs, depth, left, 0, right, column * DEPTH, tile, column, SLICE, add || row > 0);
        }
      }
      for (int i = 0; i < outs; i++) {
        long to = (long) (out + i) * size.in() + in;
        SegmentVectors.write(tile, i * SLICE, dw, to, ins);
      }
      if (sums.length > 0 && dBias != null) {
        SegmentVectors.write(sums, 0, dBias, out, outs);
      }
    }
  }
}
