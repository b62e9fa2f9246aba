package io.xlstm4j.kernels.block;

import static io.xlstm4j.kernels.MlstmCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.SlstmKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.BiPredicate;
import java.util.function.Function;
import java.util.function.IntFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Whole blocks: the same bits from any number of threads, whether the rows or their kernels share
/// them, and the plain loops' numbers.
class BlockKernelsTest {
  private static final int LENGTH = 70; // more than a chunk of the mLSTM
  private static final int DIM = 16;
  private static final int INNER = 32;
  private static final int HEADS = 2;
  private static final int UP = 24;
  private static final int TAPS = 4;

  /// Float32 sums over up to 560 positions in another order.
  private static final double TOLERANCE = 2e-4;

  @ParameterizedTest(name = "{0} rows")
  @ValueSource(ints = {1, 2, 5, 8})
  void an_mlstm_block_gives_the_same_bits_with_any_threads(int batch) {
    assertSameWithAnyThreads(threadCount -> mlstm(batch, threadCount, true, false));
    assertNear(mlstm(batch, 1, true, false), mlstm(batch, 1, false, false));
  }

  @ParameterizedTest(name = "{0} rows")
  @ValueSource(ints = {1, 2, 5, 8})
  void an_mlstm_block_does_so_on_rows_of_their_own_length_and_state(int batch) {
    assertSameWithAnyThreads(threadCount -> mlstm(batch, threadCount, true, true));
    assertNear(mlstm(batch, 1, true, true), mlstm(batch, 1, false, true));
  }

  /// Each group's own gradients of the large weights would need more memory than is given.
  @ParameterizedTest(name = "{0} rows")
  @ValueSource(ints = {1, 2, 5, 8})
  void an_mlstm_block_multiplies_for_all_rows_at_once_where_its_groups_sums_are_too_large(
      int batch) {
    Function<Kernels, MlstmBlockKernel> withoutSums = all -> new MlstmBlockKernel(all, 0);
    assertSameWithAnyThreads(threadCount -> mlstm(batch, threadCount, true, true, withoutSums));
    assertNear(mlstm(batch, 1, true, true, withoutSums), mlstm(batch, 1, true, true));
  }

  @ParameterizedTest(name = "{0} rows")
  @ValueSource(ints = {1, 4, 5, 9})
  void an_slstm_block_gives_the_same_bits_with_any_threads(int batch) {
    assertSameWithAnyThreads(threadCount -> slstm(batch, threadCount, true, false));
    assertNear(slstm(batch, 1, true, false), slstm(batch, 1, false, false));
  }

  @ParameterizedTest(name = "{0} rows")
  @ValueSource(ints = {1, 4, 5, 9})
  void an_slstm_block_does_so_on_rows_of_their_own_length_and_state(int batch) {
    assertSameWithAnyThreads(threadCount -> slstm(batch, threadCount, true, true));
    assertNear(slstm(batch, 1, true, true), slstm(batch, 1, false, true));
  }

  /// All the kernels of a block; what the JVM compiled for the tests before is part of it.
  @Test
  void a_block_gives_the_same_bits_before_and_after_it_is_compiled() {
    List<float[]> mlstm = mlstm(2, 1, true, true);
    List<float[]> slstm = slstm(2, 1, true, true);
    for (int i = 0; i < 200; i++) { // enough for both of the JVM's compilers
      assertSameBits(mlstm(2, 1, true, true), mlstm);
      assertSameBits(slstm(2, 1, true, true), slstm);
    }
  }

  private static void assertSameWithAnyThreads(IntFunction<List<float[]>> results) {
    List<float[]> first = results.apply(1);
    for (int threadCount = 2; threadCount <= 3; threadCount++) {
      assertSameBits(results.apply(threadCount), first);
    }
  }

  private static void assertSameBits(List<float[]> actual, List<float[]> expected) {
    for (int i = 0; i < expected.size(); i++) {
      assertThat(actual.get(i)).as("result " + i).isEqualTo(expected.get(i));
    }
  }

  private static void assertNear(List<float[]> vector, List<float[]> plain) {
    for (int i = 0; i < plain.size(); i++) {
      assertClose("result " + i, vector.get(i), plain.get(i), TOLERANCE);
    }
  }

  private static List<float[]> mlstm(
      int batch, int threadCount, boolean vectorized, boolean masked) {
    return mlstm(batch, threadCount, vectorized, masked, MlstmBlockKernel::new);
  }

  private static List<float[]> mlstm(
      int batch,
      int threadCount,
      boolean vectorized,
      boolean masked,
      Function<Kernels, MlstmBlockKernel> block) {
    Kernels kernels = Kernels.with(threadCount, vectorized);
    try {
      var memory = new Memory(batch);
      var size = new MlstmBlockKernel.Size(batch, LENGTH, DIM, INNER, HEADS, TAPS, 4, 1e-5f);
      MlstmBlockKernel kernel = block.apply(kernels);
      MlstmBlockKernel.Weights weights = mlstmWeights(memory);
      MlstmBlockKernel.Weights dWeights = mlstmWeights(memory.garbage());
      long head = INNER / HEADS;
      MlstmBlockKernel.State before = mlstmState(memory, batch, head, 0.1);
      if (masked) {
        memory.makeFresh(
            batch, before.conv(), before.cell().c(), before.cell().n(), before.cell().m());
      }
      MlstmBlockKernel.State after = mlstmState(memory, batch, head, 0);
      MlstmBlockKernel.State dAfter = mlstmState(memory, batch, head, 0.1);
      MlstmBlockKernel.State dBefore = mlstmState(memory, batch, head, 0);
      long rows = (long) batch * LENGTH;
      var inputs =
          new MlstmBlockKernel.Inputs(
              memory.floats(rows * DIM, 1),
              before,
              memory.floats(rows * DIM, 1),
              masked ? memory.valid(batch) : null,
              masked ? memory.starts(batch) : null);
      MemorySegment saved = memory.bytes(kernel.savedBytes(size));
      MemorySegment out = memory.floats(rows * DIM, 0);
      MemorySegment dx = memory.floats(rows * DIM, 0);
      kernel.forward(
          size,
          weights,
          inputs,
          saved,
          memory.bytes(kernel.forwardScratchBytes(size)),
          true,
          out,
          after);
      kernel.backward(
          size,
          weights,
          inputs,
          saved,
          memory.bytes(kernel.backwardScratchBytes(size, true)),
          memory.floats(rows * DIM, 1),
          gradient(dAfter),
          dx,
          dWeights,
          gradient(dBefore));
      return read(
          out,
          after.cell().c(),
          dx,
          dBefore.conv(),
          dBefore.cell().c(),
          dWeights.norm(),
          dWeights.up(),
          dWeights.conv(),
          dWeights.convBias(),
          dWeights.q(),
          dWeights.k(),
          dWeights.v(),
          dWeights.igate(),
          dWeights.igateBias(),
          dWeights.fgate(),
          dWeights.fgateBias(),
          dWeights.outnorm(),
          dWeights.skip(),
          dWeights.down());
    } finally {
      kernels.threads().close();
    }
  }

  private static MlstmBlockKernel.Weights mlstmWeights(Memory memory) {
    return new MlstmBlockKernel.Weights(
        memory.floats(DIM, 0.1),
        memory.floats(2L * INNER * DIM, 0.3),
        memory.floats((long) INNER * TAPS, 0.5),
        memory.floats(INNER, 0.1),
        memory.floats(INNER * 4L, 0.5),
        memory.floats(INNER * 4L, 0.5),
        memory.floats(INNER * 4L, 0.5),
        memory.floats(3L * HEADS * INNER, 0.1),
        memory.floats(HEADS, 1),
        memory.floats(3L * HEADS * INNER, 0.1),
        memory.floats(HEADS, 2),
        memory.floats(INNER, 0.1),
        memory.floats(INNER, 1),
        memory.floats((long) DIM * INNER, 0.3));
  }

  private static MlstmBlockKernel.State mlstmState(
      Memory memory, int batch, long head, double deviation) {
    return new MlstmBlockKernel.State(
        memory.floats((long) batch * (TAPS - 1) * INNER, deviation),
        new MlstmState(
            memory.floats((long) batch * HEADS * head * head, deviation),
            memory.floats((long) batch * HEADS * head, deviation),
            memory.floats((long) batch * HEADS, deviation)));
  }

  private static MlstmBlockKernel.StateGradient gradient(MlstmBlockKernel.State state) {
    return new MlstmBlockKernel.StateGradient(
        state.conv(), new MlstmStateGradient(state.cell().c(), state.cell().n()));
  }

  private static List<float[]> slstm(
      int batch, int threadCount, boolean vectorized, boolean masked) {
    Kernels kernels = Kernels.with(threadCount, vectorized);
    try {
      var memory = new Memory(batch);
      var size = new SlstmBlockKernel.Size(batch, LENGTH, DIM, HEADS, TAPS, UP, 1e-5f);
      SlstmBlockKernel kernel = new SlstmBlockKernel(kernels);
      SlstmBlockKernel.Weights weights = slstmWeights(memory);
      SlstmBlockKernel.Weights dWeights = slstmWeights(memory.garbage());
      SlstmBlockKernel.State before = slstmState(memory, batch, masked ? 0.1 : 0);
      if (masked) {
        SlstmKernel.State cell = before.cell();
        memory.makePositive(cell.n());
        memory.makeFresh(batch, before.conv(), cell.y(), cell.c(), cell.n(), cell.m());
      }
      SlstmBlockKernel.State after = slstmState(memory, batch, 0);
      SlstmBlockKernel.State dBefore = slstmState(memory, batch, 0);
      long rows = (long) batch * LENGTH;
      var inputs =
          new SlstmBlockKernel.Inputs(
              memory.floats(rows * DIM, 1),
              before,
              memory.floats(rows * DIM, 1),
              memory.floats(rows * DIM, 1),
              masked ? memory.valid(batch) : null,
              masked ? memory.starts(batch) : null);
      MemorySegment saved = memory.bytes(kernel.savedBytes(size));
      MemorySegment out = memory.floats(rows * DIM, 0);
      MemorySegment dx = memory.floats(rows * DIM, 0);
      kernel.forward(
          size,
          weights,
          inputs,
          saved,
          memory.bytes(kernel.forwardScratchBytes(size)),
          true,
          out,
          after);
      kernel.backward(
          size,
          weights,
          inputs,
          saved,
          memory.bytes(kernel.backwardScratchBytes(size, true)),
          memory.floats(rows * DIM, 1),
          null,
          dx,
          dWeights,
          dBefore);
      SlstmBlockKernel.FeedForward feed = feedForward(dWeights);
      return read(
          out,
          after.cell().c(),
          dx,
          dBefore.conv(),
          dWeights.norm(),
          dWeights.conv(),
          dWeights.convBias(),
          dWeights.i(),
          dWeights.f(),
          dWeights.z(),
          dWeights.o(),
          dWeights.r(),
          dWeights.b(),
          feed.norm(),
          feed.up(),
          feed.down());
    } finally {
      kernels.threads().close();
    }
  }

  private static SlstmBlockKernel.FeedForward feedForward(SlstmBlockKernel.Weights weights) {
    SlstmBlockKernel.FeedForward feed = weights.feedForward();
    if (feed == null) {
      throw new AssertionError("made with one");
    }
    return feed;
  }

  private static SlstmBlockKernel.Weights slstmWeights(Memory memory) {
    long gate = (long) DIM * (DIM / HEADS);
    return new SlstmBlockKernel.Weights(
        memory.floats(DIM, 0.1),
        memory.floats((long) DIM * TAPS, 0.5),
        memory.floats(DIM, 0.1),
        memory.floats(gate, 0.5),
        memory.floats(gate, 0.5),
        memory.floats(gate, 0.5),
        memory.floats(gate, 0.5),
        memory.floats(4 * gate, 0.2),
        memory.floats(4L * DIM, 1),
        memory.floats(DIM, 0.1),
        new SlstmBlockKernel.FeedForward(
            memory.floats(DIM, 0.1),
            memory.floats(2L * UP * DIM, 0.3),
            memory.floats((long) DIM * UP, 0.3)));
  }

  private static SlstmBlockKernel.State slstmState(Memory memory, int batch, double deviation) {
    long units = (long) batch * DIM;
    return new SlstmBlockKernel.State(
        memory.floats((long) batch * (TAPS - 1) * DIM, deviation),
        new SlstmKernel.State(
            memory.floats(units, deviation),
            memory.floats(units, deviation),
            memory.floats(units, deviation),
            memory.floats(units, deviation)));
  }

  private static List<float[]> read(MemorySegment... memory) {
    var arrays = new ArrayList<float[]>();
    for (MemorySegment segment : memory) {
      arrays.add(segment.toArray(ValueLayout.JAVA_FLOAT));
    }
    return arrays;
  }

  /// The same numbers at every run.
  private static final class Memory {
    private final Arena arena = Arena.ofAuto();
    private final Random random;
    private final double factor;

    Memory(int seed) {
      this(seed, 1);
    }

    private Memory(int seed, double factor) {
      random = new Random(seed);
      this.factor = factor;
    }

    /// Memory whose numbers are none: what is not written over is seen.
    Memory garbage() {
      return new Memory(0, Double.NaN);
    }

    MemorySegment floats(long count, double deviation) {
      MemorySegment data = bytes(count * Float.BYTES);
      for (long i = 0; i < count; i++) {
        data.setAtIndex(
            ValueLayout.JAVA_FLOAT, i, (float) (factor * deviation * random.nextGaussian()));
      }
      return data;
    }

    MemorySegment bytes(long count) {
      return arena.allocate(count, 64);
    }

    /// Each row has padding in front and behind, as much as no other.
    MemorySegment valid(int batch) {
      return mask(batch, (row, t) -> t >= row % 3 && t < LENGTH - 4 * row);
    }

    /// Documents that start within a chunk and at the first token, in some rows.
    MemorySegment starts(int batch) {
      return mask(batch, (row, t) -> row % 4 != 1 && (t == row % 3 || t == 30 + row));
    }

    private MemorySegment mask(int batch, BiPredicate<Integer, Integer> offset) {
      MemorySegment mask = bytes((long) batch * LENGTH);
      for (int i = 0; i < batch * LENGTH; i++) {
        mask.set(ValueLayout.JAVA_BYTE, i, (byte) (offset.test(i / LENGTH, i % LENGTH) ? 1 : 0));
      }
      return mask;
    }

    /// Every second row starts with nothing.
    void makeFresh(int batch, MemorySegment... states) {
      for (MemorySegment state : states) {
        long bytes = state.byteSize() / batch;
        for (int row = 0; row < batch; row += 2) {
          state.asSlice(row * bytes, bytes).fill((byte) 0);
        }
      }
    }

    /// Numbers from 1 on, as a normalizer's.
    void makePositive(MemorySegment state) {
      for (long i = 0; i < state.byteSize() / Float.BYTES; i++) {
        float number = state.getAtIndex(ValueLayout.JAVA_FLOAT, i);
        state.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1 + Math.abs(number));
      }
    }
  }
}
