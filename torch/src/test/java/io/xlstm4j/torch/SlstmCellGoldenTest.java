package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.stack;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The sLSTM cell in float64 against the official implementation, forward and every gradient.
class SlstmCellGoldenTest {
  private static final double TOLERANCE = 1e-10;

  @ParameterizedTest
  @ValueSource(strings = {"slstm_cell_fresh", "slstm_cell_warm"})
  void equals_the_official_cell_in_outputs_states_and_gradients(String fixture) {
    try (var _ = new PointerScope();
        var golden = Golden.open(fixture)) {
      Tensor wx = golden.leaf("wx"); // (B, S, 4 NH DH)
      Tensor r = golden.leaf("r");
      Tensor b = golden.leaf("b");
      Tensor state0 = golden.leaf("state0"); // (4, B, NH DH)
      long heads = r.size(0);
      long headDim = r.size(1);
      Tensor parts = state0.view(4, state0.size(1), heads, headDim);
      var initial =
          new SlstmCell.State(
              parts.select(0, 0), parts.select(0, 1), parts.select(0, 2), parts.select(0, 3));

      var output =
          SlstmCell.PAPER.forward(
              wx.view(wx.size(0), wx.size(1), 4, heads, headDim),
              r,
              b,
              initial,
              SequenceLayout.FULL);

      Tensor y = output.y().transpose(1, 2); // (B, NH, S, DH)
      Tensor state =
          stack(new TensorVector(output.state().tensors().toArray(Tensor[]::new)), 0).flatten(2, 3);
      Golden.assertClose("y", y, golden.doubles("y"), TOLERANCE);
      Golden.assertClose("stateT", state, golden.doubles("stateT"), TOLERANCE);

      Tensor onState = state.mul(golden.doubles("grad_stateT"));
      y.mul(golden.doubles("grad_y")).sum().add(onState.sum()).backward();

      Golden.assertClose("d_wx", wx.grad(), golden.doubles("d_wx"), TOLERANCE);
      Golden.assertClose("d_r", r.grad(), golden.doubles("d_r"), TOLERANCE);
      Golden.assertClose("d_b", b.grad(), golden.doubles("d_b"), TOLERANCE);
      Golden.assertClose( // of y, c, n; that of m is not comparable (docs/math.md 1.6)
          "d_state0",
          state0.grad().narrow(0, 0, 3),
          golden.doubles("d_state0").narrow(0, 0, 3),
          TOLERANCE);
    }
  }
}
