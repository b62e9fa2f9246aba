package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.randn;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Checks on the machine at hand that the cells' forms agree: the mLSTM forward and backward, the
/// sLSTM forward.
public final class SelfTest {
  private static final double ALLOWED = 1e-10;

  /// For float32 in another order of sums.
  private static final double ALLOWED_FUSED = 1e-4;

  private SelfTest() {}

  /// @param difference largest difference between two ways to the same numbers
  public record Finding(String what, double difference, double allowed) {
    /// False for NaN too.
    public boolean passed() {
      return difference <= allowed;
    }
  }

  /// Runs every check; under a second.
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
      findings.add(
          compare("mLSTM chunkwise against recurrent", mlstm(inputs, 8), recurrent, ALLOWED));
      findings.add(
          compare("mLSTM parallel against recurrent", mlstm(inputs, 64), recurrent, ALLOWED));
      findings.add(slstm());
      findings.add(fusedMlstm());
      findings.add(fusedSlstm());
    }
    return findings;
  }

  /// The kernels of this machine against libtorch operations, float32.
  private static Finding fusedMlstm() {
    Tensor q = randn(2, 21, 8);
    Tensor k = randn(2, 21, 8);
    Tensor v = randn(2, 21, 12);
    Tensor i = randn(2, 21, 2);
    Tensor f = randn(2, 21, 2);
    var zero = MlstmCell.State.zero(2, 2, 4, 6, q);
    return compare(
        "fused mLSTM against libtorch",
        outputOf(Backend.FUSED, run -> run.mlstm(q, k, v, i, f, zero, SequenceLayout.FULL).h()),
        outputOf(Backend.LIBTORCH, run -> run.mlstm(q, k, v, i, f, zero, SequenceLayout.FULL).h()),
        ALLOWED_FUSED);
  }

  private static Finding fusedSlstm() {
    Tensor wx = randn(2, 21, 4, 2, 4);
    Tensor r = Ops.times(randn(2, 4, 4, 4), 0.3);
    Tensor b = randn(2, 4, 4);
    var zero = SlstmCell.State.zero(2, 2, 4, wx);
    var paper = SlstmCell.PAPER;
    return compare(
        "fused sLSTM against libtorch",
        outputOf(Backend.FUSED, run -> run.slstm(paper, wx, r, b, zero, SequenceLayout.FULL).y()),
        outputOf(
            Backend.LIBTORCH, run -> run.slstm(paper, wx, r, b, zero, SequenceLayout.FULL).y()),
        ALLOWED_FUSED);
  }

  private static Tensor[] outputOf(Backend backend, Function<Execution, Tensor> cell) {
    var execution = new Execution();
    execution.backend(backend);
    return new Tensor[] {cell.apply(execution)};
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
        new Tensor[] {whole},
        ALLOWED);
  }

  private static Finding compare(String what, Tensor[] actual, Tensor[] expected, double allowed) {
    double largest = 0;
    for (int i = 0; i < actual.length; i++) {
      double difference = actual[i].sub(expected[i]).abs().max().item_double();
      largest = Double.isNaN(difference) ? difference : Math.max(largest, difference);
    }
    return new Finding(what, largest, allowed);
  }
}
