package io.xlstm4j.bench;

import static org.bytedeco.pytorch.global.torch.mse_loss;
import static org.bytedeco.pytorch.global.torch.randn;
import static org.bytedeco.pytorch.global.torch.zeros;

import io.xlstm4j.core.Check;
import io.xlstm4j.torch.Mlstm;
import io.xlstm4j.torch.Parameters;
import io.xlstm4j.torch.Slstm;
import io.xlstm4j.torch.Torch;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/// The layers of the README, learning to say what comes next in random sequences: forward, mean
/// squared error, backward. Once step by step, as the didactic project must, and once with the
/// whole sequence at a time.
final class Seed implements Benchmark {
  private static final String STEPS = "step through the sequence, MSE, backward";
  private static final String WHOLE = "whole sequence, MSE, backward";

  @Override
  public String name() {
    return "seed";
  }

  @Override
  public String description() {
    return "the Slstm and Mlstm layers, by steps and by whole sequences";
  }

  @Override
  public List<Case> cases(Setting setting) {
    Check.positive("seq - 1", setting.sizes().length() - 1L);
    return List.of(
        slstm(setting, STEPS, Seed::slstmBySteps),
        slstm(setting, WHOLE, Seed::slstmWhole),
        mlstm(setting, STEPS, Seed::mlstmBySteps),
        mlstm(setting, WHOLE, Seed::mlstmWhole));
  }

  /// The loss of a layer over a sequence `(S, B, D)`.
  private interface Loss<L> {
    Tensor of(L layer, Tensor sequence);
  }

  private static Case slstm(Setting setting, String how, Loss<Slstm> loss) {
    Sizes sizes = setting.sizes();
    return benchCase(
        "seed sLSTM: ",
        how,
        setting,
        () -> new Slstm(sizes.dim(), sizes.dim() / sizes.heads(), sizes.heads()),
        Slstm::parameters,
        loss);
  }

  private static Case mlstm(Setting setting, String how, Loss<Mlstm> loss) {
    Sizes sizes = setting.sizes();
    return benchCase(
        "seed mLSTM: ",
        how,
        setting,
        () -> new Mlstm(sizes.dim(), sizes.dim() / sizes.heads(), sizes.heads()),
        Mlstm::parameters,
        loss);
  }

  private static <L extends AutoCloseable> Case benchCase(
      String layer,
      String how,
      Setting setting,
      Supplier<L> create,
      Function<L, Parameters> parameters,
      Loss<L> loss) {
    return new Case(
        layer + how, () -> measure(layer, how, setting, create.get(), parameters, loss));
  }

  private static <L extends AutoCloseable> Measurement measure(
      String name,
      String how,
      Setting setting,
      L layer,
      Function<L, Parameters> parameters,
      Loss<L> loss) {
    Sizes sizes = setting.sizes();
    Torch.seed(0);
    try (var _ = new PointerScope();
        Parameters weights = parameters.apply(layer)) {
      Tensor sequence = randn(sizes.length(), sizes.batch(), sizes.dim());
      Timing.Result timed =
          setting
              .timing()
              .measure(() -> {
                try (var _ = new PointerScope()) {
                  weights.zeroGradients();
                  loss.of(layer, sequence).backward();
                }
              });
      var keys = new LinkedHashMap<String, Object>();
      keys.put("B", sizes.batch());
      keys.put("S", sizes.length());
      keys.put("D", sizes.dim());
      keys.put("NH", sizes.heads());
      Measurement measured =
          Measurement.of(name + how, Torch.threads(), timed, keys).withTokens(sizes.tokens());
      return how.equals(STEPS) ? measured : measured.with(Comparison.BESIDE, name + STEPS);
    }
  }

  private static Tensor slstmBySteps(Slstm layer, Tensor sequence) {
    Slstm.State state = layer.initialState(sequence.size(1));
    Tensor loss = zeros(1);
    for (int t = 0; t < sequence.size(0) - 1; t++) {
      Slstm.Output next = layer.step(sequence.select(0, t), state);
      state = next.state();
      loss = loss.add(mse_loss(next.output(), sequence.select(0, t + 1)));
    }
    return loss;
  }

  private static Tensor mlstmBySteps(Mlstm layer, Tensor sequence) {
    Mlstm.State state = layer.initialState(sequence.size(1));
    Tensor loss = zeros(1);
    for (int t = 0; t < sequence.size(0) - 1; t++) {
      Mlstm.Output next = layer.step(sequence.select(0, t), state);
      state = next.state();
      loss = loss.add(mse_loss(next.output(), sequence.select(0, t + 1)));
    }
    return loss;
  }

  private static Tensor slstmWhole(Slstm layer, Tensor sequence) {
    Tensor rows = sequence.transpose(0, 1); // (B, S, D)
    long steps = rows.size(1) - 1;
    Slstm.State state = layer.initialState(rows.size(0));
    return sumOfMeans(layer.forward(rows.narrow(1, 0, steps), state).output(), rows);
  }

  private static Tensor mlstmWhole(Mlstm layer, Tensor sequence) {
    Tensor rows = sequence.transpose(0, 1); // (B, S, D)
    long steps = rows.size(1) - 1;
    Mlstm.State state = layer.initialState(rows.size(0));
    return sumOfMeans(layer.forward(rows.narrow(1, 0, steps), state).output(), rows);
  }

  /// Sums the outputs of the steps: the mean of each step, summed over the steps.
  private static Tensor sumOfMeans(Tensor outputs, Tensor rows) {
    long steps = rows.size(1) - 1;
    return mse_loss(outputs, rows.narrow(1, 1, steps)).mul(new Scalar((double) steps));
  }
}
