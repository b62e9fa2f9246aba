package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.zeros_like;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Some steps of training for each layer and each model family, also as a program in a JVM of its
/// own.
final class SmallTraining {
  private static final int STEPS = 4;
  private static final int BATCH = 3;
  private static final int LENGTH = 70; // more than a chunk of the mLSTM
  private static final int WIDTH = 6;
  private static final int VOCAB = 11;
  private static final int[] LENGTHS = {70, 41, 5};
  private static final int[] STARTS = {0, 17, 64};

  private SmallTraining() {}

  /// Writes the losses to the file `arguments[0]`, one line each: name, step, loss.
  public static void main(String[] arguments) throws IOException {
    var lines = new ArrayList<String>();
    losses()
        .forEach((name, losses) -> {
          for (int step = 0; step < losses.size(); step++) {
            lines.add(name + "," + step + "," + losses.get(step));
          }
        });
    Files.write(Path.of(arguments[0]), lines);
  }

  /// The loss before each step and after the last, by the name of what was trained.
  static Map<String, List<Double>> losses() {
    Torch.load();
    var losses = new TreeMap<String, List<Double>>();
    Torch.seed(1);
    try (var layer = new Slstm(WIDTH, 8, 2)) {
      losses.put("Slstm", train(layer.parameters(), () -> loss(layer)));
    }
    Torch.seed(2);
    try (var layer = new Mlstm(WIDTH, 8, 2)) {
      losses.put("Mlstm", train(layer.parameters(), () -> loss(layer)));
    }
    losses.put("paper", train(PaperModelConfig.of(VOCAB, BlockStackConfig.of(2, 32, List.of(1)))));
    losses.put("large", train(LargeModelConfig.of(VOCAB, 32, 2, 2)));
    return losses;
  }

  private static List<Double> train(ModelConfig config) {
    Torch.seed(3);
    try (var model = new XlstmLanguageModel(config)) {
      return train(
          model.parameters(),
          () -> {
            var draws = Draws.float64(4);
            Tensor ids = Tensors.of(draws.ids(BATCH * LENGTH, VOCAB), BATCH, LENGTH);
            Tensor targets = Tensors.of(draws.ids(BATCH * LENGTH, VOCAB), BATCH, LENGTH);
            Tensor wanted = targets.where(valid(), Tensors.of(new int[] {Losses.IGNORED}, 1));
            return model.loss(ids, wanted, model.initialState(BATCH), layout()).value();
          });
    }
  }

  private static Tensor loss(Slstm layer) {
    Tensor x = input();
    return error(layer.forward(x, layer.initialState(BATCH), layout()).output(), x);
  }

  private static Tensor loss(Mlstm layer) {
    Tensor x = input();
    return error(layer.forward(x, layer.initialState(BATCH), layout()).output(), x);
  }

  private static Tensor input() {
    return new Draws(5, ScalarType.Float).normal(1, BATCH, LENGTH, WIDTH);
  }

  /// How far each output is from the next input.
  private static Tensor error(Tensor output, Tensor x) {
    Tensor difference = output.narrow(1, 0, LENGTH - 1).sub(x.narrow(1, 1, LENGTH - 1));
    Tensor counted = valid().narrow(1, 1, LENGTH - 1).unsqueeze(2).to(ScalarType.Float);
    return difference.mul(counted).square().mean();
  }

  private static Tensor valid() {
    var valid = new boolean[BATCH * LENGTH];
    for (int row = 0; row < BATCH; row++) {
      for (int t = 0; t < LENGTHS[row]; t++) {
        valid[row * LENGTH + t] = true;
      }
    }
    return Tensors.of(valid, BATCH, LENGTH);
  }

  private static SequenceLayout layout() {
    var starts = new boolean[BATCH * LENGTH];
    for (int start : STARTS) {
      starts[start] = true;
    }
    return new SequenceLayout(valid(), Tensors.of(starts, BATCH, LENGTH));
  }

  private static List<Double> train(Parameters parameters, Supplier<Tensor> loss) {
    var losses = new ArrayList<Double>();
    try (var _ = new PointerScope()) {
      var means = new HashMap<String, Tensor>();
      var squares = new HashMap<String, Tensor>();
      for (int step = 1; step <= STEPS; step++) {
        parameters.zeroGradients();
        Tensor value = loss.get();
        losses.add(value.item_double());
        value.backward();
        double rate = 0.01 / (1 - Math.pow(0.9, step));
        var numbers =
            new FusedAdamW.Step(1, 1, rate, 0.9, 0.99, Math.sqrt(1 - Math.pow(0.99, step)), 1e-8);
        parameters
            .byName()
            .forEach((name, parameter) -> {
              Tensor mean = means.computeIfAbsent(name, _ -> zeros_like(parameter.detach()));
              Tensor square = squares.computeIfAbsent(name, _ -> zeros_like(parameter.detach()));
              FusedAdamW.update(numbers, parameter, parameter.grad(), mean, square);
            });
      }
      losses.add(loss.get().item_double());
    }
    return losses;
  }
}
