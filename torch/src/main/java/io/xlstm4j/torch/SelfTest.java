package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.randn;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Checks on the machine at hand that the cells' forms agree: the mLSTM forward and backward, the
/// sLSTM forward.
public final class SelfTest {
  private static final double ALLOWED = 1e-10;

  private SelfTest() {}

  /// @param difference largest difference between two ways to the same numbers
  public record Finding(String what, double difference, double allowed) {
    /// False for NaN too.
    public boolean passed() {
      return difference <= allowed;
    }
  }

  /// Runs every check, in float64; under a second.
  public static List<Finding> run() {
    Torch.seed(1);
    var findings = new ArrayList<Finding>();
    try (var _ = new PointerScope()) {
      Tensor[] inputs = {
        random(2, 2, 21, 4),
        random(2, 2, 21, 4),
        random(2, 2, 21, 6),
        random(2, 2, 21),
        random(2, 2, 21)
      };
      Tensor[] recurrent = mlstm(inputs, 0);
      findings.add(compare("mLSTM chunkwise against recurrent", mlstm(inputs, 8), recurrent));
      findings.add(compare("mLSTM parallel against recurrent", mlstm(inputs, 64), recurrent));
      findings.add(slstm());
    }
    return findings;
  }

  private static Tensor random(long... shape) {
    return randn(shape, new TensorOptions(ScalarType.Double));
  }

  /// Output and gradients of one form; chunk length 0 for the recurrence.
  private static Tensor[] mlstm(Tensor[] inputs, int chunkLength) {
    Tensor[] x = new Tensor[inputs.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = inputs[i].clone().set_requires_grad(true);
    }
    var zero = MlstmCell.State.zero(2, 2, 4, 6, x[0]);
    Tensor h =
        (chunkLength == 0
                ? MlstmCell.recurrent(x[0], x[1], x[2], x[3], x[4], zero, SequenceLayout.FULL)
                : MlstmCell.chunkwise(
                    x[0], x[1], x[2], x[3], x[4], zero, SequenceLayout.FULL, chunkLength))
            .h();
    h.mul(h).sum().backward();
    return new Tensor[] {h, x[0].grad(), x[1].grad(), x[2].grad(), x[3].grad(), x[4].grad()};
  }

  private static Finding slstm() {
    Tensor wx = random(2, 9, 4, 2, 4);
    Tensor r = Ops.times(random(2, 4, 4, 4), 0.3);
    Tensor b = random(2, 4, 4);
    var zero = SlstmCell.State.zero(2, 2, 4, wx);
    Tensor whole = SlstmCell.PAPER.forward(wx, r, b, zero, SequenceLayout.FULL).y();
    var head = SlstmCell.PAPER.forward(wx.narrow(1, 0, 5), r, b, zero, SequenceLayout.FULL);
    var tail = SlstmCell.PAPER.forward(wx.narrow(1, 5, 4), r, b, head.state(), SequenceLayout.FULL);
    return compare(
        "sLSTM in two parts against the whole",
        new Tensor[] {Ops.concat(1, head.y(), tail.y())},
        new Tensor[] {whole});
  }

  private static Finding compare(String what, Tensor[] actual, Tensor[] expected) {
    double largest = 0;
    for (int i = 0; i < actual.length; i++) {
      double difference = actual[i].sub(expected[i]).abs().max().item_double();
      largest = Double.isNaN(difference) ? difference : Math.max(largest, difference);
    }
    return new Finding(what, largest, ALLOWED);
  }
}
