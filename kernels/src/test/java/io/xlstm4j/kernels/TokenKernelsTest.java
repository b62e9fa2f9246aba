package io.xlstm4j.kernels;

import io.xlstm4j.kernels.TokenKernels.Convolution;
import io.xlstm4j.kernels.TokenKernels.Mlstm;
import io.xlstm4j.kernels.TokenKernels.Slstm;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.reference.ScalarCausalConvKernel;
import io.xlstm4j.kernels.reference.ScalarMlstmKernel;
import io.xlstm4j.kernels.reference.ScalarSlstmKernel;
import io.xlstm4j.kernels.reference.ScalarTokenKernels;
import io.xlstm4j.kernels.vector.decode.VectorTokenKernels;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Steps against the plain loops, and against the kernels of whole sequences.
class TokenKernelsTest {
  private static final int STEPS = 12;

  /// Rounding of float32 in two orders over a dozen steps, on numbers of a few units.
  private static final double TOLERANCE = 5e-5;

  private static final TokenKernels SCALAR = new ScalarTokenKernels();
  private static final TokenKernels VECTOR = new VectorTokenKernels();

  @ParameterizedTest(name = "DHQK {0}, DHV {1}")
  @CsvSource({"1,1", "3,5", "8,16", "16,17", "17,64", "20,70", "64,128"})
  void mlstm_steps_are_those_of_plain_loops_and_of_the_sequence(int qk, int v) {
    int heads = 2;
    var random = new Random(qk + 100L * v);
    int width = heads * (3 * qk + v + 2); // q, k, a gap, v, the gates
    MemorySegment in = Floats.of(Floats.gaussian(random, STEPS * width));
    var cell = new Mlstm(heads, qk, v, MlstmKernel.EPS);
    double[] start = Floats.gaussian(random, cell.stateFloats());
    MemorySegment expected = runMlstm(SCALAR, cell, in, width, start);
    MemorySegment actual = runMlstm(VECTOR, cell, in, width, start);
    Close.assertClose("steps", Floats.read(actual), Floats.read(expected), TOLERANCE);
    MemorySegment sequence = sequenceMlstm(cell, in, width, start);
    Close.assertClose("sequence", Floats.read(expected), Floats.read(sequence), TOLERANCE);
  }

  /// @return the outputs, then the state
  private static MemorySegment runMlstm(
      TokenKernels kernels, Mlstm cell, MemorySegment in, int width, double[] start) {
    int outputs = STEPS * cell.heads() * cell.vDim();
    MemorySegment out = Floats.garbage(outputs + start.length);
    for (int i = 0; i < start.length; i++) {
      SegmentFloats.set(out, outputs + i, (float) start[i]);
    }
    var q = new MemoryMatrix(in, 0, width);
    int qk = cell.heads() * cell.qkDim();
    var rows =
        new TokenKernels.MlstmOperands(
            q,
            q.from(qk),
            q.from(3 * qk),
            q.from(width - 2 * cell.heads()),
            q.from(width - cell.heads()),
            new MemoryMatrix(out, 0, cell.heads() * cell.vDim()));
    for (int t = 0; t < STEPS; t++) {
      for (int head = 0; head < cell.heads(); head++) {
        kernels.mlstm(cell, rows, t, head, out, outputs);
      }
    }
    return out;
  }

  private static MemorySegment sequenceMlstm(
      Mlstm cell, MemorySegment in, int width, double[] start) {
    int qk = cell.heads() * cell.qkDim();
    int outputs = STEPS * cell.heads() * cell.vDim();
    MemorySegment out = Floats.garbage(outputs + start.length);
    for (int i = 0; i < start.length; i++) {
      SegmentFloats.set(out, outputs + i, (float) start[i]);
    }
    int cs = qk * cell.vDim();
    var state =
        new MlstmState(
            slice(out, outputs, cs),
            slice(out, outputs + cs, qk),
            slice(out, outputs + cs + qk, cell.heads()));
    var inputs =
        new MlstmInputs(
            rows(in, 0, width),
            rows(in, qk, width),
            rows(in, 3 * qk, width),
            rows(in, width - 2 * cell.heads(), width),
            rows(in, width - cell.heads(), width),
            null,
            null);
    var threads = new KernelThreads(1);
    new ScalarMlstmKernel(threads)
        .forward(
            new MlstmShape(1, STEPS, cell.heads(), cell.qkDim(), cell.vDim()),
            inputs,
            state,
            new StridedMatrix(out, cell.heads() * cell.vDim()),
            state,
            null);
    threads.close();
    return out;
  }

  private static StridedMatrix rows(MemorySegment in, int from, int stride) {
    return new StridedMatrix(in.asSlice(4L * from), stride);
  }

  private static MemorySegment slice(MemorySegment memory, int from, int count) {
    return memory.asSlice(4L * from, 4L * count);
  }

  @ParameterizedTest(name = "{0} units")
  @ValueSource(ints = {1, 7, 16, 17, 64, 100})
  void slstm_steps_are_those_of_plain_loops_fresh_and_warm(int units) {
    for (boolean fresh : new boolean[] {true, false}) {
      for (boolean plain : new boolean[] {false, true}) {
        for (Float clip : new Float[] {null, 0.1f}) {
          var cell = new Slstm(units, plain, clip);
          var random = new Random(units);
          double[] raw = Floats.gaussian(random, STEPS * 4 * units);
          double[] start = new double[4 * units];
          for (int i = 0; i < start.length && !fresh; i++) { // n must be positive
            start[i] = i / units == 2 ? 1 + random.nextDouble() : random.nextGaussian();
          }
          MemorySegment expected = Floats.of(start);
          MemorySegment actual = Floats.of(start);
          for (int t = 0; t < STEPS; t++) {
            SCALAR.slstm(cell, Floats.of(raw), 4L * units * t, expected, 0);
            VECTOR.slstm(cell, Floats.of(raw), 4L * units * t, actual, 0);
            Close.assertClose("state", Floats.read(actual), Floats.read(expected), TOLERANCE);
          }
        }
      }
    }
  }

  @ParameterizedTest(name = "{0} units")
  @ValueSource(ints = {5, 16, 40})
  void slstm_steps_without_recurrence_are_those_of_the_sequence(int units) {
    var random = new Random(units);
    MemorySegment gates = Floats.of(Floats.gaussian(random, STEPS * 4 * units));
    MemorySegment state = Floats.of(new double[4 * units]);
    MemorySegment expected = Floats.of(new double[4 * units]);
    MemorySegment y = Floats.garbage((long) STEPS * units);
    var size = new SlstmKernel.Size(1, STEPS, 1, units);
    var parts =
        new SlstmKernel.State(
            slice(expected, 0, units),
            slice(expected, units, units),
            slice(expected, 2 * units, units),
            slice(expected, 3 * units, units));
    MemorySegment noR = Floats.of(new double[units * 4 * units]);
    MemorySegment noBias = Floats.of(new double[4 * units]);
    var threads = new KernelThreads(1);
    var inputs = new SlstmKernel.Inputs(gates, noR, noBias, parts, null, null);
    new ScalarSlstmKernel().forward(size, inputs, y, parts, null, threads);
    threads.close();
    for (int t = 0; t < STEPS; t++) {
      VECTOR.slstm(new Slstm(units, false, null), gates, 4L * units * t, state, 0);
    }
    Close.assertClose("state", Floats.read(state), Floats.read(expected), TOLERANCE);
  }

  @ParameterizedTest(name = "{0} channels, {1} kernelSize")
  @CsvSource({"1,4", "16,1", "17,2", "40,4", "100,4"})
  void convolution_steps_are_those_of_plain_loops_and_of_the_sequence(
      int channels, int kernelSize) {
    var random = new Random(channels);
    MemorySegment x = Floats.of(Floats.gaussian(random, STEPS * channels));
    double[] weight = Floats.gaussian(random, channels * kernelSize);
    double[] byTap = new double[weight.length];
    for (int i = 0; i < weight.length; i++) {
      byTap[i % kernelSize * channels + i / kernelSize] = weight[i];
    }
    MemorySegment bias = Floats.of(Floats.gaussian(random, channels));
    double[] tail = Floats.gaussian(random, (kernelSize - 1) * channels);
    var size = new CausalConvKernel.Size(1, STEPS, channels, kernelSize);
    var inputs =
        new CausalConvKernel.Inputs(x, Floats.of(weight), bias, Floats.of(tail), null, null);
    MemorySegment y = Floats.garbage((long) STEPS * channels);
    MemorySegment lastTail = Floats.garbage(tail.length);
    var threads = new KernelThreads(1);
    new ScalarCausalConvKernel().forward(size, inputs, y, lastTail, threads);
    threads.close();
    var convolution = new Convolution(channels, kernelSize, Floats.of(byTap), bias);
    for (TokenKernels kernels : new TokenKernels[] {SCALAR, VECTOR}) {
      MemorySegment stepped = Floats.garbage((long) STEPS * channels);
      MemorySegment steppedTail = Floats.of(tail);
      for (int t = 0; t < STEPS; t++) {
        long offset = (long) t * channels;
        kernels.convolve(convolution, x, offset, steppedTail, 0, stepped, offset);
      }
      Close.assertClose("y", Floats.read(stepped), Floats.read(y), TOLERANCE);
      Close.assertClose("tail", Floats.read(steppedTail), Floats.read(lastTail), 0);
    }
  }
}
