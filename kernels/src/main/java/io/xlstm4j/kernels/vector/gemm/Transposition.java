package io.xlstm4j.kernels.vector.gemm;

import io.xlstm4j.kernels.GemmKernel.Block;
import io.xlstm4j.kernels.vector.math.NativeFloats;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// `to = fromᵀ` on one thread, a square of as many rows and columns as a vector has lanes at a
/// time.
///
/// As often as that number is doubled from 1, every row of the first half of a square is
/// interleaved with its counterpart of the second; after that the rows are the columns.
public final class Transposition {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final int WIDTH = LANES.length();
  private static final MemorySegment MEMORY = NativeFloats.MEMORY;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  // interleaving: lane l takes lane l / 2 of the vector's front or back half
  private static final VectorShuffle<Float> FRONT = VectorShuffle.fromOp(LANES, l -> l / 2);
  private static final VectorShuffle<Float> BACK =
      VectorShuffle.fromOp(LANES, l -> (WIDTH + l) / 2);
  private static final VectorMask<Float> EVEN = VectorMask.fromLong(LANES, 0x5555_5555_5555_5555L);

  private final float[] square = new float[WIDTH * WIDTH];
  private final float[] otherSquare = new float[WIDTH * WIDTH];

  /// @param from `(rows, columns)`
  /// @param to `(columns, rows)`
  public void run(int rows, int columns, Block from, Block to) {
    int wholeRows = LANES.loopBound(rows);
    int wholeColumns = LANES.loopBound(columns);
    for (int row = 0; row < wholeRows; row += WIDTH) {
      for (int column = 0; column < wholeColumns; column += WIDTH) {
        int offset = from.offset() + row * from.stride() + column;
        interleave(from.data(), offset, from.stride(), square, 0, WIDTH);
        interleaveOn(to.data(), to.offset() + column * to.stride() + row, to.stride());
      }
    }
    runPlain(rows, columns, 0, wholeColumns, from, to);
    runPlain(rows, wholeColumns, wholeRows, 0, from, to);
  }

  private static void runPlain(
      int rows, int columns, int firstRow, int firstColumn, Block from, Block to) {
    for (int row = firstRow; row < rows; row++) {
      for (int column = firstColumn; column < columns; column++) {
        to.data()[to.offset() + column * to.stride() + row] =
            from.data()[from.offset() + row * from.stride() + column];
      }
    }
  }

  /// The same from memory at its address, which is there and stays; only where `NativeGemv` is
  /// available.
  ///
  /// @param rows whole vectors
  /// @param columns whole vectors
  /// @param from address of `(rows, columns)`, `rowBytes` apart
  public void run(int rows, int columns, long from, long rowBytes, Block to) {
    for (int row = 0; row < rows; row += WIDTH) {
      for (int column = 0; column < columns; column += WIDTH) {
        long address = from + row * rowBytes + (long) column * Float.BYTES;
        int offset = to.offset() + column * to.stride() + row;
        if (WIDTH == 16) {
          Square16.transpose(address, rowBytes, to.data(), offset, to.stride());
        } else {
          interleave(address, rowBytes, square);
          interleaveOn(to.data(), offset, to.stride());
        }
      }
    }
  }

  /// All times but the first, from [#square] on.
  private void interleaveOn(float[] to, int toOffset, int toStride) {
    if (WIDTH == 2) { // once was enough
      System.arraycopy(square, 0, to, toOffset, 2);
      System.arraycopy(square, 2, to, toOffset + toStride, 2);
      return;
    }
    float[] source = square;
    float[] free = otherSquare;
    for (int done = 2; done < WIDTH / 2; done *= 2) {
      interleave(source, 0, WIDTH, free, 0, WIDTH);
      float[] next = free;
      free = source;
      source = next;
    }
    interleave(source, 0, WIDTH, to, toOffset, toStride);
  }

  private static void interleave(long from, long rowBytes, float[] to) {
    long first = from & NativeFloats.ADDRESSES;
    long half = (from + WIDTH / 2 * rowBytes) & NativeFloats.ADDRESSES;
    for (int row = 0; row < WIDTH / 2; row++) {
      var a = FloatVector.fromMemorySegment(LANES, MEMORY, first + row * rowBytes, ORDER);
      var b = FloatVector.fromMemorySegment(LANES, MEMORY, half + row * rowBytes, ORDER);
      var front = b.rearrange(FRONT).blend(a.rearrange(FRONT), EVEN);
      var back = b.rearrange(BACK).blend(a.rearrange(BACK), EVEN);
      front.intoArray(to, 2 * row * WIDTH);
      back.intoArray(to, (2 * row + 1) * WIDTH);
    }
  }

  private static void interleave(
      float[] from, int fromOffset, int fromStride, float[] to, int toOffset, int toStride) {
    for (int row = 0; row < WIDTH / 2; row++) {
      var a = FloatVector.fromArray(LANES, from, fromOffset + row * fromStride);
      var b = FloatVector.fromArray(LANES, from, fromOffset + (row + WIDTH / 2) * fromStride);
      var front = b.rearrange(FRONT).blend(a.rearrange(FRONT), EVEN);
      var back = b.rearrange(BACK).blend(a.rearrange(BACK), EVEN);
      front.intoArray(to, toOffset + 2 * row * toStride);
      back.intoArray(to, toOffset + (2 * row + 1) * toStride);
    }
  }

  /// A square of 16 lanes that stays in registers: each row is read once, each column stored once.
  private static final class Square16 {
    private static final FloatVector FRONT = lanes(0);
    private static final FloatVector BACK = lanes(8);

    private Square16() {}

    /// Where an interleaved vector has its lanes from: 0 to 15 the first vector, 16 to 31 the
    /// second.
    private static FloatVector lanes(int from) {
      float[] lanes = new float[WIDTH];
      for (int l = 0; l < WIDTH; l++) {
        lanes[l] = l % 2 * WIDTH + from + l / 2;
      }
      return FloatVector.fromArray(LANES, lanes, 0);
    }

    static void transpose(long from, long rowBytes, float[] to, int offset, int stride) {
      long address = from & NativeFloats.ADDRESSES;
      var a0 = FloatVector.fromMemorySegment(LANES, MEMORY, address, ORDER);
      var a1 = FloatVector.fromMemorySegment(LANES, MEMORY, address + rowBytes, ORDER);
      var a2 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 2 * rowBytes, ORDER);
      var a3 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 3 * rowBytes, ORDER);
      var a4 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 4 * rowBytes, ORDER);
      var a5 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 5 * rowBytes, ORDER);
      var a6 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 6 * rowBytes, ORDER);
      var a7 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 7 * rowBytes, ORDER);
      var a8 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 8 * rowBytes, ORDER);
      var a9 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 9 * rowBytes, ORDER);
      var a10 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 10 * rowBytes, ORDER);
      var a11 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 11 * rowBytes, ORDER);
      var a12 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 12 * rowBytes, ORDER);
      var a13 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 13 * rowBytes, ORDER);
      var a14 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 14 * rowBytes, ORDER);
      var a15 = FloatVector.fromMemorySegment(LANES, MEMORY, address + 15 * rowBytes, ORDER);
      var b0 = FRONT.selectFrom(a0, a8);
      var b1 = BACK.selectFrom(a0, a8);
      var b2 = FRONT.selectFrom(a1, a9);
      var b3 = BACK.selectFrom(a1, a9);
      var b4 = FRONT.selectFrom(a2, a10);
      var b5 = BACK.selectFrom(a2, a10);
      var b6 = FRONT.selectFrom(a3, a11);
      var b7 = BACK.selectFrom(a3, a11);
      var b8 = FRONT.selectFrom(a4, a12);
      var b9 = BACK.selectFrom(a4, a12);
      var b10 = FRONT.selectFrom(a5, a13);
      var b11 = BACK.selectFrom(a5, a13);
      var b12 = FRONT.selectFrom(a6, a14);
      var b13 = BACK.selectFrom(a6, a14);
      var b14 = FRONT.selectFrom(a7, a15);
      var b15 = BACK.selectFrom(a7, a15);
      var c0 = FRONT.selectFrom(b0, b8);
      var c1 = BACK.selectFrom(b0, b8);
      var c2 = FRONT.selectFrom(b1, b9);
      var c3 = BACK.selectFrom(b1, b9);
      var c4 = FRONT.selectFrom(b2, b10);
      var c5 = BACK.selectFrom(b2, b10);
      var c6 = FRONT.selectFrom(b3, b11);
      var c7 = BACK.selectFrom(b3, b11);
      var c8 = FRONT.selectFrom(b4, b12);
      var c9 = BACK.selectFrom(b4, b12);
      var c10 = FRONT.selectFrom(b5, b13);
      var c11 = BACK.selectFrom(b5, b13);
      var c12 = FRONT.selectFrom(b6, b14);
      var c13 = BACK.selectFrom(b6, b14);
      var c14 = FRONT.selectFrom(b7, b15);
      var c15 = BACK.selectFrom(b7, b15);
      var d0 = FRONT.selectFrom(c0, c8);
      var d1 = BACK.selectFrom(c0, c8);
      var d2 = FRONT.selectFrom(c1, c9);
      var d3 = BACK.selectFrom(c1, c9);
      var d4 = FRONT.selectFrom(c2, c10);
      var d5 = BACK.selectFrom(c2, c10);
      var d6 = FRONT.selectFrom(c3, c11);
      var d7 = BACK.selectFrom(c3, c11);
      var d8 = FRONT.selectFrom(c4, c12);
      var d9 = BACK.selectFrom(c4, c12);
      var d10 = FRONT.selectFrom(c5, c13);
      var d11 = BACK.selectFrom(c5, c13);
      var d12 = FRONT.selectFrom(c6, c14);
      var d13 = BACK.selectFrom(c6, c14);
      var d14 = FRONT.selectFrom(c7, c15);
      var d15 = BACK.selectFrom(c7, c15);
      var e0 = FRONT.selectFrom(d0, d8);
      var e1 = BACK.selectFrom(d0, d8);
      var e2 = FRONT.selectFrom(d1, d9);
      var e3 = BACK.selectFrom(d1, d9);
      var e4 = FRONT.selectFrom(d2, d10);
      var e5 = BACK.selectFrom(d2, d10);
      var e6 = FRONT.selectFrom(d3, d11);
      var e7 = BACK.selectFrom(d3, d11);
      var e8 = FRONT.selectFrom(d4, d12);
      var e9 = BACK.selectFrom(d4, d12);
      var e10 = FRONT.selectFrom(d5, d13);
      var e11 = BACK.selectFrom(d5, d13);
      var e12 = FRONT.selectFrom(d6, d14);
      var e13 = BACK.selectFrom(d6, d14);
      var e14 = FRONT.selectFrom(d7, d15);
      var e15 = BACK.selectFrom(d7, d15);
      e0.intoArray(to, offset);
      e1.intoArray(to, offset + stride);
      e2.intoArray(to, offset + 2 * stride);
      e3.intoArray(to, offset + 3 * stride);
      e4.intoArray(to, offset + 4 * stride);
      e5.intoArray(to, offset + 5 * stride);
      e6.intoArray(to, offset + 6 * stride);
      e7.intoArray(to, offset + 7 * stride);
      e8.intoArray(to, offset + 8 * stride);
      e9.intoArray(to, offset + 9 * stride);
      e10.intoArray(to, offset + 10 * stride);
      e11.intoArray(to, offset + 11 * stride);
      e12.intoArray(to, offset + 12 * stride);
      e13.intoArray(to, offset + 13 * stride);
      e14.intoArray(to, offset + 14 * stride);
      e15.intoArray(to, offset + 15 * stride);
    }
  }
}
