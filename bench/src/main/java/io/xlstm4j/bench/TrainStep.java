package io.xlstm4j.bench;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.torch.AdamW;
import io.xlstm4j.torch.SequenceLayout;
import io.xlstm4j.torch.Tensors;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.XlstmLanguageModel;
import io.xlstm4j.train.config.OptimizerConfig;
import io.xlstm4j.train.optim.Optimizers;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import java.util.SequencedMap;
import java.util.function.DoubleSupplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;

/// One optimizer step of whole language models on random tokens: forward, cross entropy, backward,
/// AdamW with the defaults of PyTorch.
final class TrainStep implements Benchmark {
  private static final double LEARNING_RATE = 1e-3;
  static final OptimizerConfig OPTIMIZER = OptimizerConfig.of(LEARNING_RATE, 0.01, 0.9, 0.999);
  static final long SEED = 0;

  @Override
  public String name() {
    return "train-step";
  }

  @Override
  public String description() {
    return "one training step of three models of the paper family";
  }

  @Override
  public List<Case> cases(Setting setting) {
    Sizes sizes = setting.sizes();
    var gemm = new RateOnce(() -> Gemm.libtorchGflopPerSecond(setting.timing()));
    return List.of(
        benchCase(
            "%d blocks, sLSTM at 1".formatted(sizes.blocks()),
            model(sizes, sizes.blocks(), List.of(1)),
            setting,
            gemm),
        benchCase("1 mLSTM block", model(sizes, 1, List.of()), setting, gemm),
        benchCase("1 sLSTM block", model(sizes, 1, List.of(0)), setting, gemm));
  }

  private static Case benchCase(
      String name, PaperModelConfig model, Setting setting, DoubleSupplier gemm) {
    return new Case(name, () -> measure(name, model, setting, gemm));
  }

  private static PaperModelConfig model(Sizes sizes, int blocks, List<Integer> slstmAt) {
    var stack =
        new BlockStackConfig(
            blocks,
            sizes.dim(),
            sizes.length(),
            slstmAt,
            new MlstmBlockConfig(MlstmLayerConfig.DEFAULT.withNumHeads(sizes.heads())),
            new SlstmBlockConfig(
                SlstmLayerConfig.DEFAULT.withNumHeads(sizes.heads()), FeedForwardConfig.DEFAULT),
            true,
            false,
            0);
    return PaperModelConfig.of(sizes.vocab(), stack);
  }

  private static Measurement measure(
      String name, PaperModelConfig config, Setting setting, DoubleSupplier gemm) {
    Sizes sizes = setting.sizes();
    Torch.seed(SEED);
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(config);
        var optimizer = Optimizers.adamW(model.parameters().byName(), _ -> true, OPTIMIZER)) {
      var random = new Random(SEED);
      Tensor inputs = tokens(random, sizes);
      Tensor targets = tokens(random, sizes);
      model.training(true);
      Timing.Result timed = setting.timing().measure(() -> step(model, optimizer, inputs, targets));
      double gflopPerSecond =
          Arithmetic.trainingFlopPerToken(config) * (double) sizes.tokens() / timed.ms() / 1e6;
      Measurement measured =
          Measurement.of(name, Torch.threads(), timed, keys(sizes))
              .withTokens(sizes.tokens())
              .with("parameters", model.parameters().count())
              .with("flop_per_token", Arithmetic.trainingFlopPerToken(config))
              .with("gflop_per_s", gflopPerSecond);
      if (PeakMemory.residentMiB().isPresent()) {
        measured = measured.with("peak_rss_mib", PeakMemory.residentMiB().getAsLong());
      }
      double rate = gemm.getAsDouble();
      return measured.with("gemm_gflop_per_s", rate).with("share_of_gemm", gflopPerSecond / rate);
    }
  }

  static void step(XlstmLanguageModel model, AdamW optimizer, Tensor inputs, Tensor targets) {
    try (var _ = new PointerScope()) {
      model.parameters().zeroGradients();
      model
          .loss(inputs, targets, model.initialState(inputs.size(0)), SequenceLayout.FULL)
          .value()
          .backward();
      double norm = optimizer.gradientNorm();
      optimizer.step(LEARNING_RATE, 1);
      if (!Double.isFinite(norm)) {
        throw new IllegalStateException("the gradient is no longer finite: norm " + norm);
      }
    }
  }

  static Tensor tokens(Random random, Sizes sizes) {
    return Tensors.of(
        random.ints(sizes.tokens(), 0, sizes.vocab()).toArray(), sizes.batch(), sizes.length());
  }

  static SequencedMap<String, Object> keys(Sizes sizes) {
    var keys = new LinkedHashMap<String, Object>();
    keys.put("B", sizes.batch());
    keys.put("S", sizes.length());
    keys.put("D", sizes.dim());
    keys.put("NH", sizes.heads());
    keys.put("vocab", sizes.vocab());
    return keys;
  }

  /// A rate that is measured when first asked for.
  private static final class RateOnce implements DoubleSupplier {
    private final DoubleSupplier source;
    private double rate = Double.NaN;

    RateOnce(DoubleSupplier source) {
      this.source = source;
    }

    @Override
    public double getAsDouble() {
      if (Double.isNaN(rate)) {
        rate = source.getAsDouble();
      }
      return rate;
    }
  }
}
