package io.xlstm4j.kernels.vector.decode;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.Floats;
import io.xlstm4j.kernels.GemvKernel;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The kernels of the first tokens against those on the Vector API: the same bits, so that nobody
/// can tell when one takes over from the other.
class PreJitKernelsTest {
  private static final int ROWS = 3;
  private static final TokenKernels LANE_TOKENS = new PreJitTokenKernels();
  private static final TokenKernels VECTOR_TOKENS = new VectorTokenKernels();
  private static final PositionKernels LANE_ROWS = new PreJitPositionKernels();
  private static final PositionKernels VECTOR_ROWS = new VectorPositionKernels();

  /// Numbers over many magnitudes, and the special ones.
  private static MemorySegment numbers(int count, long seed) {
    var random = new Random(seed);
    var values = new double[count];
    float[] special = {0f, -0f, 1f, -1f, 88f, -88f, -88.5f, 104f, 1e-30f, -1e30f};
    for (int i = 0; i < count; i++) {
      values[i] =
          random.nextInt(8) == 0
              ? special[random.nextInt(special.length)]
              : random.nextGaussian() * Math.pow(10, random.nextInt(4) - 2);
    }
    return Floats.of(values);
  }

  private static MemorySegment copy(MemorySegment from) {
    MemorySegment to = Floats.garbage(from.byteSize() / Float.BYTES);
    return to.copyFrom(from);
  }

  /// Runs both on memory with the same content.
  private static <K> void assertSame(K lanes, K vectors, MemorySegment memory, Call<K> call) {
    MemorySegment expected = copy(memory);
    MemorySegment actual = copy(memory);
    call.run(vectors, expected);
    call.run(lanes, actual);
    assertThat(Floats.read(actual)).containsExactly(Floats.read(expected));
  }

  private interface Call<K> {
    void run(K kernels, MemorySegment memory);
  }

  @ParameterizedTest(name = "{0} inputs")
  @ValueSource(ints = {1, 7, 15, 16, 17, 64, 100, 512})
  void products_have_the_bits_of_vectors(int inputs) {
    var vectors = new VectorGemvKernel();
    var lanes = new PreJitGemvKernel();
    int stride = vectors.stride(inputs);
    assertThat(lanes.stride(inputs)).isEqualTo(stride);
    for (int outputs : new int[] {1, 4, 5}) {
      for (int rows : new int[] {1, 4, 6}) {
        float[] w = floats(outputs, inputs, stride, 1);
        float[] x = floats(rows, inputs, stride, 2);
        var expected = new float[rows * outputs];
        var actual = new float[rows * outputs];
        var scratch = new float[GemvKernel.SCRATCH];
        vectors.multiply(rows, outputs, stride, w, x, expected, scratch);
        lanes.multiply(rows, outputs, stride, w, x, actual, scratch);
        assertThat(actual).containsExactly(expected);
      }
    }
  }

  private static float[] floats(int rows, int count, int stride, long seed) {
    var random = new Random(seed);
    var values = new float[rows * stride];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < count; i++) {
        values[row * stride + i] = (float) random.nextGaussian();
      }
    }
    return values;
  }

  @ParameterizedTest(name = "width {0}")
  @ValueSource(ints = {1, 7, 15, 16, 17, 64, 100})
  void norms_have_the_bits_of_vectors(int width) {
    for (boolean centered : new boolean[] {false, true}) {
      for (boolean scaled : new boolean[] {false, true}) {
        int heads = 2;
        MemorySegment scale = scaled ? numbers(heads * width, 3) : null;
        MemorySegment bias = scaled ? numbers(heads * width, 4) : null;
        var norm = new PositionKernels.Norm(heads, width, centered, 1e-6f, scale, bias);
        assertSame(
            LANE_ROWS,
            VECTOR_ROWS,
            numbers(ROWS * heads * width, width),
            (k, memory) -> {
              var x = new MemoryMatrix(memory, 0, heads * width);
              k.normalize(0, ROWS, norm, x, x);
            });
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Activation.class)
  void gates_have_the_bits_of_vectors(Activation activation) {
    for (int width : new int[] {1, 16, 17, 100, 2000}) {
      assertSame(
          LANE_ROWS,
          VECTOR_ROWS,
          numbers(ROWS * 3 * width, width),
          (k, memory) -> {
            var gate = new MemoryMatrix(memory, 0, 3 * width);
            k.gate(0, ROWS, width, activation, gate, gate.from(width), gate.from(2 * width));
          });
    }
  }

  @ParameterizedTest(name = "width {0}")
  @ValueSource(ints = {4, 12, 16, 20, 64, 100})
  void caps_sums_and_blocks_have_the_bits_of_vectors(int width) {
    MemorySegment weight = numbers(4 * width, 5);
    MemorySegment bias = numbers(width, 6);
    for (Consumer<Object[]> call :
        List.<Consumer<Object[]>>of(
            a -> ((PositionKernels) a[0]).softCap(0, ROWS, width, 15, (MemoryMatrix) a[1]),
            a ->
                ((PositionKernels) a[0])
                    .addScaled(
                        0,
                        ROWS,
                        width,
                        bias,
                        (MemoryMatrix) a[1],
                        ((MemoryMatrix) a[1]).from(width)),
            a ->
                ((PositionKernels) a[0])
                    .headwise(
                        0,
                        ROWS,
                        new PositionKernels.Headwise(width, 4, weight, bias),
                        (MemoryMatrix) a[1],
                        ((MemoryMatrix) a[1]).from(width)))) {
      assertSame(
          LANE_ROWS,
          VECTOR_ROWS,
          numbers(ROWS * 2 * width, width),
          (k, memory) -> call.accept(new Object[] {k, new MemoryMatrix(memory, 0, 2 * width)}));
    }
  }

  @ParameterizedTest(name = "DHQK and DHV {0}")
  @ValueSource(ints = {1, 5, 16, 17, 64, 70})
  void mlstm_steps_have_the_bits_of_vectors(int wide) {
    int heads = 2;
    for (int dv : new int[] {wide, wide + 3}) {
      var cell = new TokenKernels.Mlstm(heads, wide, dv, MlstmKernel.EPS);
      int row = heads * (2 * wide + 2 * dv + 2);
      assertSame(
          LANE_TOKENS,
          VECTOR_TOKENS,
          gaussian(ROWS * row + cell.stateFloats(), wide),
          (k, memory) -> {
            var q = new MemoryMatrix(memory, 0, row);
            MemoryMatrix v = q.from(2 * heads * wide);
            MemoryMatrix gates = v.from(2 * heads * dv);
            var rows =
                new TokenKernels.MlstmOperands(
                    q, q.from(heads * wide), v, gates, gates.from(heads), v.from(heads * dv));
            for (int token = 0; token < ROWS; token++) {
              for (int head = 0; head < heads; head++) {
                k.mlstm(cell, rows, token, head, memory, (long) ROWS * row);
              }
            }
          });
    }
  }

  @ParameterizedTest(name = "{0} units")
  @ValueSource(ints = {1, 7, 16, 17, 64, 100})
  void slstm_steps_have_the_bits_of_vectors(int units) {
    for (boolean plain : new boolean[] {false, true}) {
      for (Float clip : new Float[] {null, 0.1f}) {
        var cell = new TokenKernels.Slstm(units, plain, clip);
        MemorySegment memory = gaussian((4 * ROWS + 4) * units, units);
        long state = 4L * ROWS * units;
        SegmentFloats.zero(memory, state, 4 * units);
        assertSame(
            LANE_TOKENS,
            VECTOR_TOKENS,
            memory,
            (k, data) -> {
              for (int token = 0; token < ROWS; token++) {
                k.slstm(cell, data, 4L * token * units, data, state);
              }
              SegmentFloats.zero(data, 0, 4 * ROWS * units); // which may hold anything now
            });
      }
    }
  }

  @ParameterizedTest(name = "{0} channels")
  @ValueSource(ints = {1, 7, 16, 17, 64, 100})
  void convolutions_have_the_bits_of_vectors(int channels) {
    for (int kernelSize : new int[] {1, 2, 4}) {
      var convolution =
          new TokenKernels.Convolution(
              channels, kernelSize, numbers(kernelSize * channels, 7), numbers(channels, 8));
      long tail = 2L * ROWS * channels;
      assertSame(
          LANE_TOKENS,
          VECTOR_TOKENS,
          gaussian((2 * ROWS + kernelSize - 1) * channels, channels),
          (k, memory) -> {
            for (int token = 0; token < ROWS; token++) {
              long x = (long) token * channels;
              k.convolve(convolution, memory, x, memory, tail, memory, x + (long) ROWS * channels);
            }
          });
    }
  }

  private static MemorySegment gaussian(int count, long seed) {
    return Floats.of(Floats.gaussian(new Random(seed), count));
  }
}
