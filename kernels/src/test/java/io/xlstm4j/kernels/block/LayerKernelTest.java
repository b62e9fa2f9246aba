package io.xlstm4j.kernels.block;

import static io.xlstm4j.kernels.MlstmCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.Kernels;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Whole layers of the README: the same bits from any number of threads, and the plain loops'
/// numbers.
class LayerKernelTest {
  /// Float32 sums over up to 600 positions in another order.
  private static final double TOLERANCE = 2e-4;

  @ParameterizedTest(name = "{0} rows of {1}, width {2}, {4} heads of {3}, masks {5}")
  @CsvSource({
    "1, 1, 1, 1, 1, false",
    "1, 1, 15, 17, 1, false",
    "8, 1, 16, 16, 2, false",
    "3, 9, 17, 15, 2, true",
    "9, 67, 12, 8, 3, false", // several groups of rows
    "2, 300, 16, 8, 2, true",
  })
  void give_the_same_bits_with_any_threads(
      int batch, int length, int dim, int headDim, int heads, boolean masks) {
    for (Function<Kernels, LayerKernel> layer : layers(dim, headDim, heads)) {
      List<float[]> first = run(layer, batch, length, dim, 1, true, masks);
      for (int threadCount = 2; threadCount <= 3; threadCount++) {
        List<float[]> other = run(layer, batch, length, dim, threadCount, true, masks);
        for (int i = 0; i < first.size(); i++) {
          assertThat(other.get(i)).as("result " + i).isEqualTo(first.get(i));
        }
      }
      List<float[]> plain = run(layer, batch, length, dim, 1, false, masks);
      for (int i = 0; i < plain.size(); i++) {
        assertClose("result " + i, first.get(i), plain.get(i), TOLERANCE);
      }
    }
  }

  private static List<Function<Kernels, LayerKernel>> layers(int dim, int headDim, int heads) {
    var slstm = new SlstmLayerKernel.Dims(dim, heads, headDim, dim + 3, 4, 1e-5f);
    var mlstm = new MlstmLayerKernel.Dims(dim, 2 * dim, heads, headDim, 4, 1e-5f);
    return List.of(
        kernels -> new SlstmLayerKernel(kernels, slstm),
        kernels -> new MlstmLayerKernel(kernels, mlstm));
  }

  /// Output, state, and every gradient.
  private static List<float[]> run(
      Function<Kernels, LayerKernel> layer,
      int batch,
      int length,
      int dim,
      int threadCount,
      boolean vectorized,
      boolean masks) {
    Kernels kernels = Kernels.with(threadCount, vectorized);
    try {
      LayerKernel kernel = layer.apply(kernels);
      var memory = new Memory();
      long[] sizes = kernel.parameterFloats();
      List<MemorySegment> parameters =
          Arrays.stream(sizes).mapToObj(count -> memory.floats(count, 0.3)).toList();
      List<MemorySegment> dParameters =
          Arrays.stream(sizes).mapToObj(count -> memory.floats(count, Double.NaN)).toList();
      long count = (long) batch * length * dim;
      long states = kernel.stateFloats(batch);
      var call =
          new LayerKernel.Call(
              batch,
              length,
              memory.floats(count, 1),
              warm(layer, parameters, batch, dim, memory),
              masks ? memory.mask(batch, length, true) : null,
              masks ? memory.mask(batch, length, false) : null);
      MemorySegment saved = memory.bytes(kernel.savedBytes(batch, length));
      MemorySegment out = memory.floats(count, Double.NaN);
      MemorySegment last = memory.floats(states, Double.NaN);
      MemorySegment readyScratch = memory.bytes(kernel.readyScratchBytes());
      kernel.forward(
          call,
          parameters,
          kernel.ready(parameters, readyScratch),
          saved,
          memory.bytes(kernel.forwardScratchBytes(batch, length)),
          true,
          out,
          last);
      MemorySegment dx = memory.floats(count, Double.NaN);
      MemorySegment dInitial = memory.floats(states, Double.NaN);
      kernel.backward(
          call,
          parameters,
          saved,
          memory.bytes(kernel.backwardScratchBytes(batch, length)),
          memory.floats(count, 1),
          memory.floats(states, 0.5),
          dx,
          dParameters,
          dInitial);
      var results = new ArrayList<float[]>();
      for (MemorySegment result : List.of(out, last, dx, dInitial)) {
        results.add(result.toArray(ValueLayout.JAVA_FLOAT));
      }
      dParameters.forEach(result -> results.add(result.toArray(ValueLayout.JAVA_FLOAT)));
      return results;
    } finally {
      kernels.threads().close();
    }
  }

  /// A state after some tokens: on a fresh one some gradients are nothing but rounding.
  private static MemorySegment warm(
      Function<Kernels, LayerKernel> layer,
      List<MemorySegment> parameters,
      int batch,
      int dim,
      Memory memory) {
    Kernels plain = Kernels.with(1, false);
    LayerKernel kernel = layer.apply(plain);
    long states = kernel.stateFloats(batch);
    MemorySegment x = memory.floats(5L * batch * dim, 1);
    var call = new LayerKernel.Call(batch, 5, x, memory.floats(states, 0), null, null);
    MemorySegment after = memory.floats(states, 0);
    kernel.forward(
        call,
        parameters,
        kernel.ready(parameters, memory.bytes(kernel.readyScratchBytes())),
        memory.bytes(kernel.savedBytes(batch, 5)),
        memory.bytes(kernel.forwardScratchBytes(batch, 5)),
        false,
        memory.floats(5L * batch * dim, 0),
        after);
    return after;
  }

  /// The same numbers at every run.
  private static final class Memory {
    private final Arena arena = Arena.ofAuto();
    private final Random random = new Random(5);

    MemorySegment floats(long count, double deviation) {
      MemorySegment data = bytes(count * Float.BYTES);
      for (long i = 0; i < count; i++) {
        float value = (float) (deviation * random.nextGaussian());
        data.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
      }
      return data;
    }

    /// Rows of length 1, 2, 3, ... or a document that starts at the second token.
    MemorySegment mask(int batch, int length, boolean lengths) {
      MemorySegment data = bytes((long) batch * length);
      for (int row = 0; row < batch; row++) {
        for (int t = 0; t < length; t++) {
          boolean on = lengths ? t <= row || row == batch - 1 : t == 1;
          data.set(ValueLayout.JAVA_BYTE, (long) row * length + t, (byte) (on ? 1 : 0));
        }
      }
      return data;
    }

    MemorySegment bytes(long count) {
      return arena.allocate(Math.max(count, 1), 64).asSlice(0, count);
    }
  }
}
