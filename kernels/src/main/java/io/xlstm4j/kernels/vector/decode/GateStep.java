package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.vector.math.VectorMath.LANES;
import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.vector.math.ArrayLoops;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/// `y = activation(gate) up` for whole vectors of a row, piece by piece on arrays, in loops that
/// are compiled one by one ([ArrayLoops]). Kept from call to call, by one thread.
final class GateStep {
  /// Columns that are computed at a time at most, a multiple of every width.
  static final int PIECE = 1024;

  private static final int WIDTH = LANES.length();

  private static final ArrayLoops<GateStep> GELU =
      new ArrayLoops<>(List.of(GateStep::densities, GateStep::probabilities, GateStep::products));
  private static final ArrayLoops<GateStep> RELU =
      new ArrayLoops<>(List.of(GateStep::positives, GateStep::products));
  private static final ArrayLoops<GateStep> RELU_SQUARED =
      new ArrayLoops<>(List.of(GateStep::positives, GateStep::squares, GateStep::products));
  private static final ArrayLoops<GateStep> SIGMOID =
      new ArrayLoops<>(List.of(GateStep::sigmoids, GateStep::products));
  private static final ArrayLoops<GateStep> SWISH =
      new ArrayLoops<>(List.of(GateStep::swishes, GateStep::products));
  private static final ArrayLoops<GateStep> SELU =
      new ArrayLoops<>(List.of(GateStep::selus, GateStep::products));

  private static final ArrayLoops<GateStep> SOFT_CAP = new ArrayLoops<>(List.of(GateStep::caps));

  private final float[] gate = new float[PIECE]; // then activated
  private final float[] up = new float[PIECE];
  private final float[] between = new float[PIECE];
  private int count;
  private float cap;

  /// @param columns a multiple of a vector's, at most [#PIECE]
  /// @param from the first of them
  void run(
      Activation activation,
      int columns,
      MemoryMatrix gates,
      MemoryMatrix ups,
      MemoryMatrix y,
      int row,
      int from) {
    count = columns;
    SegmentVectors.read(gates.data(), gates.row(row) + from, gate, 0, count);
    SegmentVectors.read(ups.data(), ups.row(row) + from, up, 0, count);
    passes(activation).run(this);
    SegmentVectors.write(gate, 0, y.data(), y.row(row) + from, count);
  }

  /// `x = cap tanh(x / cap)`, likewise.
  void softCap(float newCap, int columns, MemoryMatrix x, int row, int from) {
    count = columns;
    cap = newCap;
    SegmentVectors.read(x.data(), x.row(row) + from, gate, 0, count);
    SOFT_CAP.run(this);
    SegmentVectors.write(gate, 0, x.data(), x.row(row) + from, count);
  }

  private static ArrayLoops<GateStep> passes(Activation activation) {
    return switch (activation) {
      case GELU -> GELU;
      case RELU -> RELU;
      case RELU_SQUARED -> RELU_SQUARED;
      case SIGMOID -> SIGMOID;
      case SWISH -> SWISH;
      case SELU -> SELU;
    };
  }

  private void products() {
    for (int i = 0; i < count; i += WIDTH) {
      at(gate, i).mul(at(up, i)).intoArray(gate, i);
    }
  }

  private void densities() {
    for (int i = 0; i < count; i += WIDTH) {
      FloatVector x = at(gate, i);
      VectorMath.expOfNegative(x.mul(x).mul(-0.5f)).intoArray(between, i);
    }
  }

  private void probabilities() {
    for (int i = 0; i < count; i += WIDTH) {
      FloatVector x = at(gate, i);
      VectorMath.normalCdf(x, at(between, i)).mul(x).intoArray(gate, i);
    }
  }

  private void positives() {
    for (int i = 0; i < count; i += WIDTH) {
      at(gate, i).max(0f).intoArray(gate, i);
    }
  }

  private void squares() {
    for (int i = 0; i < count; i += WIDTH) {
      FloatVector x = at(gate, i);
      x.mul(x).intoArray(gate, i);
    }
  }

  private void sigmoids() {
    for (int i = 0; i < count; i += WIDTH) {
      VectorMath.sigmoid(at(gate, i)).intoArray(gate, i);
    }
  }

  private void swishes() {
    for (int i = 0; i < count; i += WIDTH) {
      FloatVector x = at(gate, i);
      x.mul(VectorMath.sigmoid(x)).intoArray(gate, i);
    }
  }

  private void selus() {
    for (int i = 0; i < count; i += WIDTH) {
      FloatVector x = at(gate, i);
      FloatVector low = VectorMath.expm1OfNegative(x.min(0f)).mul((float) Activation.SELU_ALPHA);
      FloatVector value = low.blend(x, x.compare(VectorOperators.GT, 0f));
      value.mul((float) Activation.SELU_SCALE).intoArray(gate, i);
    }
  }

  private void caps() {
    for (int i = 0; i < count; i += WIDTH) {
      VectorMath.tanh(at(gate, i).div(cap)).mul(cap).intoArray(gate, i);
    }
  }
}
