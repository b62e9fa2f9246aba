package io.xlstm4j.torch;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The mLSTM cell in float64 against the official implementation, forward and every gradient.
class MlstmCellGoldenTest {
  private static final double TOLERANCE = 1e-10;

  @ParameterizedTest(name = "{0}, {1} {2}")
  @CsvSource({
    "mlstm_cell_fresh, RECURRENT, 0",
    "mlstm_cell_fresh, PARALLEL, 0",
    "mlstm_cell_fresh, CHUNKWISE, 4",
    "mlstm_cell_fresh, CHUNKWISE, 5",
    "mlstm_cell_fresh, CHUNKWISE, 64",
    "mlstm_cell_warm, RECURRENT, 0",
    "mlstm_cell_warm, PARALLEL, 0",
    "mlstm_cell_warm, CHUNKWISE, 4",
    "mlstm_cell_warm, CHUNKWISE, 16",
    "mlstm_cell_warm, CHUNKWISE, 64",
  })
  void equals_the_official_cell_in_outputs_states_and_gradients(
      String fixture, MlstmForm form, int chunk) {
    try (var _ = new PointerScope();
        var golden = Golden.open(fixture)) {
      Tensor q = golden.leaf("q");
      Tensor k = golden.leaf("k");
      Tensor v = golden.leaf("v");
      Tensor i = golden.leaf("i");
      Tensor f = golden.leaf("f");
      Tensor c0 = golden.leaf("C0");
      Tensor n0 = golden.leaf("n0");
      var initial = new MlstmCell.State(c0, n0, golden.doubles("m0").squeeze(-1));

      var output = form.run(q, k, v, i, f, initial, SequenceLayout.FULL, chunk);

      Golden.assertClose("h", output.h(), golden.doubles("h"), TOLERANCE);
      Golden.assertClose("CT", output.state().c(), golden.doubles("CT"), TOLERANCE);
      Golden.assertClose("nT", output.state().n(), golden.doubles("nT"), TOLERANCE);
      Golden.assertClose("mT", output.state().m(), golden.doubles("mT").squeeze(-1), TOLERANCE);

      Tensor loss =
          output
              .h()
              .mul(golden.doubles("grad_h"))
              .sum()
              .add(output.state().c().mul(golden.doubles("grad_CT")).sum())
              .add(output.state().n().mul(golden.doubles("grad_nT")).sum());
      loss.backward();

      Golden.assertClose("d_q", q.grad(), golden.doubles("d_q"), TOLERANCE);
      Golden.assertClose("d_k", k.grad(), golden.doubles("d_k"), TOLERANCE);
      Golden.assertClose("d_v", v.grad(), golden.doubles("d_v"), TOLERANCE);
      Golden.assertClose("d_i", i.grad(), golden.doubles("d_i"), TOLERANCE);
      Golden.assertClose("d_f", f.grad(), golden.doubles("d_f"), TOLERANCE);
      Golden.assertClose("d_C0", c0.grad(), golden.doubles("d_C0"), TOLERANCE);
      Golden.assertClose("d_n0", n0.grad(), golden.doubles("d_n0"), TOLERANCE);
    }
  }
}
