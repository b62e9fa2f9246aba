package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.GemvKernel;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.StoredRows;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightType;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.Lazy;
import io.xlstm4j.kernels.reference.ScalarWeightRowsKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/// When the kernels on the Vector API take over from those lane by lane, which give the same bits.
///
/// Until it is compiled, a vector operation takes microseconds, and compiling all of a step takes a
/// second: too long for the first tokens. So those are computed lane by lane, and once they are out
/// a thread of its own lets the vectors work on nothing until each kernel that was used is the
/// quicker one. It takes the place of one of the workers, which wait for each other.
final class JitWarmUp {
  /// Comparisons that the vectors must win in a row, and how long each side runs in one.
  private static final int WINS = 3;

  private static final long SAMPLE_NANOS = 100_000;

  /// The factor up to which vectors count as quicker: compiled, they are quicker or, for what moves
  /// memory only, as quick; interpreted, they take many times as long.
  private static final double HANDICAP = 1.25;

  /// Where vectors have not won by then, they never will.
  private static final long LONGEST_NANOS = 20_000_000_000L;

  private static final int WIDTH = 512;
  private static final int ROWS = 4;
  private static final int HEADS = 4;

  /// A kernel that was used, where no activation or type of weights says which.
  enum Use {
    ONE_ROW,
    SEVERAL_ROWS,
    RMS_NORM,
    LAYER_NORM,
    SOFT_CAP,
    HEADWISE,
    ADD_SCALED,
    MLSTM,
    SLSTM,
    CONVOLUTION
  }

  private final KernelThreads threads;
  private final Lazy<PositionKernels> rows;
  private final Lazy<TokenKernels> tokens;
  private final Set<Object> used = ConcurrentHashMap.newKeySet();
  private final AtomicBoolean begun = new AtomicBoolean();
  private volatile boolean done;

  /// @param rows on the Vector API
  /// @param tokens likewise
  JitWarmUp(KernelThreads threads, Lazy<PositionKernels> rows, Lazy<TokenKernels> tokens) {
    this.threads = threads;
    this.rows = rows;
    this.tokens = tokens;
  }

  boolean hasBegun() {
    return begun.get();
  }

  boolean isDone() {
    return done;
  }

  /// Notes that a kernel is wanted: a [Use], [Activation] or [WeightType].
  void use(Object kernel) {
    used.add(kernel);
  }

  /// Begins, unless it has begun before.
  void begin() {
    if (!begun.getAndSet(true)) {
      var thread = new Thread(this::run, "xlstm-warm-up");
      thread.setDaemon(true);
      thread.start();
    }
  }

  private void run() {
    threads.spareOne(true);
    try {
      var contests = new LinkedHashMap<Object, Contest>();
      products(contests);
      rowKernels(contests);
      tokenKernels(contests);
      contests.keySet().retainAll(used);
      done = contests.values().stream().allMatch(Contest::isWon);
    } finally {
      threads.spareOne(false);
    }
  }

  /// One kernel's work in both forms.
  private record Contest(Runnable vectors, Runnable lanes) {
    static <K> Contest of(K vectors, K lanes, Consumer<K> work) {
      return new Contest(() -> work.accept(vectors), () -> work.accept(lanes));
    }

    /// Goes on until the vectors win, within reason. Rests as long as they take, for the compiler
    /// and the tokens need the processors.
    boolean isWon() {
      long end = System.nanoTime() + LONGEST_NANOS;
      for (int wins = 0; wins < WINS; ) {
        double time = nanos(vectors);
        boolean won = time < HANDICAP * nanos(lanes);
        wins = won ? wins + 1 : 0;
        if (System.nanoTime() > end) {
          return false;
        }
        if (!won) {
          LockSupport.parkNanos((long) time);
        }
      }
      return true;
    }

    /// Of one run.
    private static double nanos(Runnable work) {
      long began = System.nanoTime();
      int runs = 0;
      long time = 0;
      for (; time < SAMPLE_NANOS; runs++) {
        work.run();
        time = System.nanoTime() - began;
      }
      return (double) time / runs;
    }
  }

  private static MemorySegment memory(int floats) {
    return Arena.ofAuto().allocate((long) floats * Float.BYTES, 64);
  }

  /// For widths of whole vectors: in native memory where that is read, else in arrays.
  private void products(Map<Object, Contest> contests) {
    var vectors = new VectorGemvKernel();
    var lanes = new PreJitGemvKernel();
    int outputs = 8;
    boolean isNative = NativeGemv.isAvailable();
    boolean takesFew = NativeGemv.takesFew();
    MemorySegment nativeW = memory(outputs * WIDTH);
    MemorySegment nativeX = memory(ROWS * WIDTH);
    MemorySegment tile = memory(ROWS * WIDTH);
    long xRow = (long) WIDTH * Float.BYTES;
    var wide = new float[outputs * WIDTH];
    var x = new float[ROWS * WIDTH];
    var y = new float[ROWS * outputs];
    var sums = new float[GemvKernel.SCRATCH];
    contests.put(
        Use.ONE_ROW,
        new Contest(
            () -> {
              if (isNative) {
                NativeGemv.multiplyOne(outputs, WIDTH, nativeW.address(), x, 0, y, sums);
              } else {
                vectors.multiply(1, outputs, WIDTH, wide, x, y, sums);
              }
            },
            () -> lanes.multiply(1, outputs, WIDTH, wide, x, y, sums)));
    contests.put(
        Use.SEVERAL_ROWS,
        new Contest(
            () -> {
              if (takesFew) {
                long xOffset = nativeX.address();
                NativeGemv.multiplyFew(
                    ROWS, outputs, WIDTH, nativeW.address(), xOffset, xRow, y, sums);
              } else {
                vectors.multiply(ROWS, outputs, WIDTH, wide, x, y, sums);
              }
            },
            () -> lanes.multiply(ROWS, outputs, WIDTH, wide, x, y, sums)));
    var widener = new VectorWeightRowsKernel();
    var plain = new ScalarWeightRowsKernel();
    var inRegisters = new DequantizingGemv();
    for (WeightType type : WeightType.values()) {
      boolean scaled = type == WeightType.INT8;
      MemorySegment scales = scaled ? memory(outputs * WIDTH / 64) : null;
      var w = new WeightMatrix(type, outputs, WIDTH, nativeW, scales, scaled ? 64 : 0);
      var stored = new StoredRows();
      boolean multiplies = DequantizingGemv.takes(w);
      boolean inPlace = isNative && NativeDequantizingGemv.takes(w);
      contests.put(
          type,
          new Contest(
              () -> {
                if (inPlace && takesFew && used.contains(Use.SEVERAL_ROWS)) {
                  long to = tile.address();
                  long xOffset = nativeX.address();
                  NativeDequantizingGemv.multiplyFew(
                      w, 0, ROWS, outputs, to, xOffset, xRow, y, sums);
                }
                if (inPlace) {
                  NativeDequantizingGemv.multiply(w, 0, outputs, x, 0, y, sums);
                } else if (multiplies) {
                  widener.widen(w, 0, outputs, stored, wide, WIDTH);
                  inRegisters.multiply(w, stored, outputs, x, 0, y, sums);
                } else {
                  widener.widen(w, 0, outputs, stored, wide, WIDTH);
                }
              },
              () -> {
                plain.widen(w, 0, outputs, stored, wide, WIDTH);
                if (multiplies) {
                  lanes.multiply(1, outputs, WIDTH, wide, x, y, sums);
                }
              }));
    }
    contests.remove(WeightType.F32); // which is copied as quickly
  }

  private void rowKernels(Map<Object, Contest> contests) {
    PositionKernels vectors = rows.get();
    PositionKernels lanes = new PreJitPositionKernels();
    var x = new MemoryMatrix(memory(ROWS * WIDTH), 0, WIDTH);
    var y = new MemoryMatrix(memory(ROWS * WIDTH), 0, WIDTH);
    MemorySegment scale = memory(WIDTH);
    for (boolean centered : new boolean[] {false, true}) {
      var norm = new PositionKernels.Norm(1, WIDTH, centered, 1e-6f, scale, null);
      contests.put(
          centered ? Use.LAYER_NORM : Use.RMS_NORM,
          Contest.of(vectors, lanes, k -> k.normalize(0, ROWS, norm, x, y)));
    }
    for (Activation activation : Activation.values()) {
      contests.put(
          activation, Contest.of(vectors, lanes, k -> k.gate(0, ROWS, WIDTH, activation, x, y, y)));
    }
    var headwise = new PositionKernels.Headwise(WIDTH, 4, memory(4 * WIDTH), null);
    contests.put(Use.SOFT_CAP, Contest.of(vectors, lanes, k -> k.softCap(0, ROWS, WIDTH, 1, x)));
    contests.put(
        Use.HEADWISE, Contest.of(vectors, lanes, k -> k.headwise(0, ROWS, headwise, x, y)));
    contests.put(
        Use.ADD_SCALED, Contest.of(vectors, lanes, k -> k.addScaled(0, ROWS, WIDTH, scale, x, y)));
  }

  private void tokenKernels(Map<Object, Contest> contests) {
    TokenKernels vectors = tokens.get();
    TokenKernels lanes = new PreJitTokenKernels();
    int wide = 64;
    var cell = new TokenKernels.Mlstm(HEADS, wide, wide, MlstmKernel.EPS);
    var x = new MemoryMatrix(memory(WIDTH), 0, WIDTH);
    var h = new MemoryMatrix(memory(WIDTH), 0, WIDTH);
    var parts = new TokenKernels.MlstmOperands(x, x, x, x, x, h);
    MemorySegment state = memory(cell.stateFloats());
    contests.put(Use.MLSTM, Contest.of(vectors, lanes, k -> k.mlstm(cell, parts, 0, 0, state, 0)));
    var convolution = new TokenKernels.Convolution(WIDTH, 4, memory(4 * WIDTH), memory(WIDTH));
    MemorySegment tail = memory(3 * WIDTH);
    contests.put(
        Use.CONVOLUTION,
        Contest.of(
            vectors, lanes, k -> k.convolve(convolution, x.data(), 0, tail, 0, h.data(), 0)));
    var slstm = new TokenKernels.Slstm(WIDTH, false, null);
    MemorySegment gates = memory(4 * WIDTH);
    MemorySegment cells = memory(4 * WIDTH);
    contests.put(Use.SLSTM, Contest.of(vectors, lanes, k -> k.slstm(slstm, gates, 0, cells, 0)));
  }
}
