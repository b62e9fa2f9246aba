package io.xlstm4j.bench;

import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.XlstmLanguageModel;
import io.xlstm4j.train.optim.Optimizers;
import java.util.List;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;

/// [TrainStep] of a model of the Large family. Its official form has no peer here: it trains with
/// kernels for GPUs alone.
final class LargeTrainStep implements Benchmark {
  @Override
  public String name() {
    return "train-step-large";
  }

  @Override
  public String description() {
    return "one training step of a model of the Large family";
  }

  @Override
  public List<Case> cases(Setting setting) {
    String name = "%d Large blocks".formatted(setting.sizes().blocks());
    return List.of(new Case(name, () -> measure(name, setting)));
  }

  private static Measurement measure(String name, Setting setting) {
    Sizes sizes = setting.sizes();
    var config = LargeModelConfig.of(sizes.vocab(), sizes.dim(), sizes.blocks(), sizes.heads());
    Torch.seed(TrainStep.SEED);
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(config);
        var optimizer =
            Optimizers.adamW(model.parameters().byName(), _ -> true, TrainStep.OPTIMIZER)) {
      var random = new Random(TrainStep.SEED);
      Tensor inputs = TrainStep.tokens(random, sizes);
      Tensor targets = TrainStep.tokens(random, sizes);
      model.training(true);
      Timing.Result timed =
          setting.timing().measure(() -> TrainStep.step(model, optimizer, inputs, targets));
      return Measurement.of(name, Torch.threads(), timed, TrainStep.keys(sizes))
          .withTokens(sizes.tokens())
          .with("parameters", model.parameters().count());
    }
  }
}
