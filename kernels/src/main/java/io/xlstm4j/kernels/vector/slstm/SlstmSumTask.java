package io.xlstm4j.kernels.vector.slstm;

import static io.xlstm4j.kernels.vector.math.VectorMath.at;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.L;

import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.SlstmKernel.Gradients;
import io.xlstm4j.kernels.SlstmKernel.Inputs;
import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;

/// dR and dB for the four gates of L units of one head: one matrix product over all rows and steps,
/// in their order.
final class SlstmSumTask {
  /// Positions whose gradients are gathered at a time; they stay in the nearest cache.
  private static final int CHUNK = 64;

  private final Size size;
  private final int head;
  private final int unit;
  private final int inputs; // DHin, padded to the product's four rows

  private final float[] gates; // (CHUNK, 4, L)
  private final float[] y; // (CHUNK, inputs): the outputs fed back
  private final float[] dR; // (inputs, 4, L)
  private final float[] dB; // (4, L)

  SlstmSumTask(Size size, int head, int group) {
    this.size = size;
    this.head = head;
    unit = group * L;
    inputs = Math.ceilDiv(size.headDim(), 4) * 4;
    gates = new float[CHUNK * 4 * L];
    y = new float[CHUNK * inputs];
    dR = new float[inputs * 4 * L];
    dB = new float[4 * L];
  }

  void run(Inputs read, int[][] before, MemorySegment outputs, Gradients gradients) {
    int width = size.headDim();
    int filled = 0;
    for (int row = 0; row < size.batch(); row++) {
      for (int t = 0; t < size.length(); t++) {
        int last = before[row][t];
        if (last == SlstmKernel.FRESH) {
          Arrays.fill(y, filled * inputs, (filled + 1) * inputs, 0);
        } else if (last == SlstmKernel.INITIAL) {
          long from = size.state(row, head);
          SegmentFloats.copy(read.initial().y(), from, y, filled * inputs, width);
        } else {
          SegmentFloats.copy(outputs, size.output(row, last, head), y, filled * inputs, width);
        }
        gather(row, t, gradients.wx(), filled);
        if (++filled == CHUNK) {
          multiply(filled);
          filled = 0;
        }
      }
    }
    multiply(filled);
    write(gradients);
  }

  private void gather(int row, int step, MemorySegment dWx, int position) {
    for (int gate = 0; gate < 4; gate++) {
      long from = size.gate(row, step, gate, head) + unit;
      int to = (position * 4 + gate) * L; // zeros stay behind the last unit
      SegmentVectors.read(dWx, from, gates, to, Math.min(L, size.headDim() - unit));
      at(dB, gate * L).add(at(gates, to)).intoArray(dB, gate * L);
    }
  }

  private void multiply(int positions) {
    SlstmProduct.add4(inputs, positions, y, 0, 1, inputs, gates, 0, dR, 0, 4 * L);
  }

  private void write(Gradients gradients) {
    int count = size.headDim() - unit;
    for (int gate = 0; gate < 4; gate++) {
      long to = size.bias(head, gate) + unit;
      SegmentVectors.store(at(dB, gate * L), gradients.b(), to, count);
      for (int in = 0; in < size.headDim(); in++) {
        FloatVector sum = at(dR, (in * 4 + gate) * L);
        SegmentVectors.store(sum, gradients.r(), size.kernel(head, in, gate) + unit, count);
      }
    }
  }
}
