package io.xlstm4j.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/// When the kernels on the Vector API take over from those lane by lane, which give the same bits.
///
/// Until it is compiled, a vector operation takes microseconds, and compiling all of a step takes a
/// second: too long for the first tokens. So those are computed lane by lane, and once they are out
/// a thread of its own lets the vectors work on nothing until each kernel is the quicker one.
final class WarmUp {
  /// Comparisons that the vectors must win in a row.
  private static final int WINS = 3;

  /// Where vectors have not won by then, they never will.
  private static final long LONGEST_NANOS = 30_000_000_000L;

  private static final int WIDTH = 512;
  private static final int ROWS = 4;
  private static final int HEADS = 4;

  private final Lazy<RowKernels> rows;
  private final Lazy<TokenKernels> tokens;
  private final AtomicBoolean begun = new AtomicBoolean();
  private volatile boolean done;

  /// @param rows on the Vector API
  /// @param tokens likewise
  WarmUp(Lazy<RowKernels> rows, Lazy<TokenKernels> tokens) {
    this.rows = rows;
    this.tokens = tokens;
  }

  boolean isDone() {
    return done;
  }

  /// Begins, unless it has begun before.
  void begin() {
    if (!begun.getAndSet(true)) {
      var thread = new Thread(this::run, "xlstm-warm-up");
      thread.setDaemon(true);
      thread.start();
    }
  }

  /// One kernel's work in both forms.
  private record Contest(Runnable vectors, Runnable lanes) {
    static <K> Contest of(K vectors, K lanes, Consumer<K> work) {
      return new Contest(() -> work.accept(vectors), () -> work.accept(lanes));
    }

    boolean vectorsWin() {
      return nanos(vectors) < nanos(lanes);
    }

    private static long nanos(Runnable work) {
      long began = System.nanoTime();
      work.run();
      return System.nanoTime() - began;
    }
  }

  private void run() {
    long end = System.nanoTime() + LONGEST_NANOS;
    for (Contest contest : contests()) {
      for (int wins = 0; wins < WINS; ) {
        wins = contest.vectorsWin() ? wins + 1 : 0;
        if (System.nanoTime() > end) {
          return;
        }
      }
    }
    done = true;
  }

  private List<Contest> contests() {
    var contests = new ArrayList<Contest>();
    products(contests);
    rowKernels(contests);
    tokenKernels(contests);
    return contests;
  }

  private static MemorySegment memory(int floats) {
    return Arena.ofAuto().allocate((long) floats * Float.BYTES, 64);
  }

  private static void products(List<Contest> contests) {
    var vectors = new VectorRowsProductKernel();
    var lanes = new LaneRowsProductKernel();
    int outputs = 8;
    for (int count : new int[] {1, ROWS}) {
      var w = new float[outputs * WIDTH];
      var x = new float[count * WIDTH];
      var y = new float[count * outputs];
      var scratch = new float[RowsProductKernel.SCRATCH];
      contests.add(
          Contest.of(vectors, lanes, k -> k.multiply(count, outputs, WIDTH, w, x, y, scratch)));
    }
    var wide = new VectorWeightRowsKernel();
    var plain = new ScalarWeightRowsKernel();
    for (WeightType type : WeightType.values()) {
      boolean scaled = type == WeightType.INT8;
      WeightMatrix w =
          new WeightMatrix(
              type, 1, WIDTH, memory(WIDTH), scaled ? memory(WIDTH / 64) : null, scaled ? 64 : 0);
      var to = new float[WIDTH];
      if (type != WeightType.F32) { // which plain loops copy as quickly
        contests.add(Contest.of(wide, plain, k -> k.widen(w, 0, to, 0)));
      }
    }
  }

  private void rowKernels(List<Contest> contests) {
    RowKernels vectors = rows.get();
    RowKernels lanes = new LaneRowKernels();
    var x = new FloatRows(memory(ROWS * WIDTH), 0, WIDTH);
    var y = new FloatRows(memory(ROWS * WIDTH), 0, WIDTH);
    for (boolean centered : new boolean[] {false, true}) {
      var norm = new RowKernels.Norm(1, WIDTH, centered, 1e-6f, memory(WIDTH), null);
      contests.add(Contest.of(vectors, lanes, k -> k.normalize(0, ROWS, norm, x, y)));
    }
    for (Activation activation : Activation.values()) {
      contests.add(Contest.of(vectors, lanes, k -> k.gate(0, ROWS, WIDTH, activation, x, y, y)));
    }
    contests.add(Contest.of(vectors, lanes, k -> k.softCap(0, ROWS, WIDTH, 1, x)));
    var headwise = new RowKernels.Headwise(WIDTH, 4, memory(4 * WIDTH), null);
    contests.add(Contest.of(vectors, lanes, k -> k.headwise(0, ROWS, headwise, x, y)));
    contests.add(Contest.of(vectors, lanes, k -> k.addScaled(0, ROWS, WIDTH, memory(WIDTH), x, y)));
  }

  private void tokenKernels(List<Contest> contests) {
    TokenKernels vectors = tokens.get();
    TokenKernels lanes = new LaneTokenKernels();
    int wide = WIDTH / HEADS;
    var cell = new TokenKernels.Mlstm(HEADS, wide, wide, MlstmKernel.EPS);
    var row = new FloatRows(memory(WIDTH), 0, WIDTH);
    var rowsOfToken =
        new TokenKernels.MlstmRows(row, row, row, row, row, new FloatRows(memory(WIDTH), 0, WIDTH));
    MemorySegment state = memory(cell.stateFloats());
    contests.add(Contest.of(vectors, lanes, k -> k.mlstm(cell, rowsOfToken, 0, 0, state, 0)));
    var convolution = new TokenKernels.Convolution(WIDTH, 4, memory(4 * WIDTH), memory(WIDTH));
    MemorySegment tail = memory(3 * WIDTH);
    MemorySegment y = memory(WIDTH);
    contests.add(
        Contest.of(vectors, lanes, k -> k.convolve(convolution, row.data(), 0, tail, 0, y, 0)));
    var slstm = new TokenKernels.Slstm(WIDTH, false, null);
    MemorySegment gates = memory(4 * WIDTH);
    MemorySegment cells = memory(4 * WIDTH);
    contests.add(Contest.of(vectors, lanes, k -> k.slstm(slstm, gates, 0, cells, 0)));
  }
}
