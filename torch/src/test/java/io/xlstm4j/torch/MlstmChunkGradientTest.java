package io.xlstm4j.torch;

import io.xlstm4j.kernels.Kernels;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

/// A sequence longer than any chunk, in float32, against one step after the other in float64:
/// outputs, last state and the gradients of queries, keys, values, both gates and the initial
/// state.
class MlstmChunkGradientTest {
  private static final int LENGTH = 515;
  private static final int BATCH = 2;
  private static final int HEADS = 2;
  private static final int QK = 6;
  private static final int V = 5;
  private static final int PART = 32;

  /// Of the largest number of a tensor; sums of up to 515 terms in float32.
  private static final double TOLERANCE = 1e-4;

  /// Not of m, which is fixed by convention.
  private static final int WITH_GRADIENT = 7;

  private record Pass(List<Tensor> outputs, List<Tensor> gradients) {}

  @Test
  void chunks_of_16_to_512_have_the_gradients_of_single_steps() {
    try (var _ = new PointerScope()) {
      var draws = Draws.float64(21);
      MlstmSample drawn = MlstmSample.draw(draws, BATCH, HEADS, LENGTH, QK, V, true);
      var tensors = new ArrayList<Tensor>(drawn.tensors());
      // A low stabilizer: above a tiny floor a denominator near zero makes any form inexact.
      tensors.set(3, tensors.get(3).sub(Ops.number(4)));
      boolean[] starts = new boolean[BATCH * LENGTH];
      Arrays.fill(starts, 0, 1, true);
      starts[LENGTH + 300] = true;
      boolean[] valid = new boolean[BATCH * LENGTH];
      Arrays.fill(valid, 0, LENGTH + 480, true);
      var layout =
          new SequenceLayout(Tensors.of(valid, BATCH, LENGTH), Tensors.of(starts, BATCH, LENGTH));
      List<Tensor> weights =
          List.of(
              draws.normal(1, BATCH, HEADS, LENGTH, V),
              draws.normal(1, BATCH, HEADS, QK, V),
              draws.normal(1, BATCH, HEADS, QK));

      var sample = new MlstmSample(Gradients.leaves(tensors));
      Pass expected = pass(sample, recurrent(sample, layout), weights, layout);
      for (int chunk : new int[] {16, 32, 64, 128, 256, 512}) {
        try (var _ = new PointerScope()) {
          var single = inFloat32(tensors);
          Pass actual =
              pass(single, single.run(MlstmForm.CHUNKWISE, chunk, layout), weights, layout);
          assertSame("chunks of " + chunk, actual, expected);
        }
      }
      var single = inFloat32(tensors);
      assertSame("fused kernel", pass(single, fused(single, layout), weights, layout), expected);
    }
  }

  private static MlstmSample inFloat32(List<Tensor> tensors) {
    return new MlstmSample(
        Gradients.leaves(tensors.stream().map(x -> x.to(ScalarType.Float)).toList()));
  }

  /// In parts with scopes of their own: one scope takes long to close for so many tensors.
  private static MlstmCell.Output recurrent(MlstmSample sample, SequenceLayout layout) {
    var parts = new ArrayList<Tensor>();
    MlstmCell.State state = sample.initial();
    for (int from = 0; from < LENGTH; from += PART) {
      int at = from;
      int length = Math.min(PART, LENGTH - from);
      MlstmCell.State before = state;
      List<Tensor> x =
          sample.tensors().subList(0, 5).stream().map(y -> y.narrow(2, at, length)).toList();
      MlstmCell.Output output =
          Scopes.scoped(() ->
              MlstmCell.recurrent(
                  x.get(0),
                  x.get(1),
                  x.get(2),
                  x.get(3),
                  x.get(4),
                  before,
                  layout.narrow(at, length)));
      parts.add(output.h());
      state = output.state();
    }
    return new MlstmCell.Output(Ops.concat(2, parts.toArray(Tensor[]::new)), state);
  }

  /// The kernel of training, which has positions before heads.
  private static MlstmCell.Output fused(MlstmSample sample, SequenceLayout layout) {
    List<Tensor> x = sample.tensors();
    var output =
        new FusedCells(Kernels.with(2, true))
            .mlstm(
                positionsFirst(x.get(0)),
                positionsFirst(x.get(1)),
                positionsFirst(x.get(2)),
                x.get(3).transpose(1, 2),
                x.get(4).transpose(1, 2),
                sample.initial(),
                layout);
    return new MlstmCell.Output(output.h().transpose(1, 2), output.state());
  }

  private static Tensor positionsFirst(Tensor x) {
    return x.transpose(1, 2).reshape(BATCH, LENGTH, -1);
  }

  private static Pass pass(
      MlstmSample leaves, MlstmCell.Output output, List<Tensor> weights, SequenceLayout layout) {
    Tensor h = layout.padded(output.h(), 2);
    Tensor c = output.state().c();
    Tensor n = output.state().n();
    Tensor loss =
        h.mul(weights.get(0).type_as(h))
            .sum()
            .add(c.mul(weights.get(1).type_as(c)).sum())
            .add(n.mul(weights.get(2).type_as(n)).sum());
    return new Pass(
        List.of(h, c, n, output.state().m()),
        Gradients.of(loss, leaves.tensors().subList(0, WITH_GRADIENT)));
  }

  private static void assertSame(String what, Pass actual, Pass expected) {
    List<String> outputs = List.of("h", "c", "n", "m");
    for (int i = 0; i < outputs.size(); i++) {
      assertClose(what + ": " + outputs.get(i), actual.outputs.get(i), expected.outputs.get(i));
    }
    for (int i = 0; i < WITH_GRADIENT; i++) {
      assertClose(
          what + ": gradient of " + MlstmSample.NAMES.get(i),
          actual.gradients.get(i),
          expected.gradients.get(i));
    }
  }

  private static void assertClose(String what, Tensor actual, Tensor expected) {
    Golden.assertCloseRelative(what, actual.to(ScalarType.Double), expected, TOLERANCE);
  }
}
