package io.xlstm4j.torch;

import static io.xlstm4j.torch.DiagnosticCases.BATCH;
import static io.xlstm4j.torch.DiagnosticCases.DIM;
import static io.xlstm4j.torch.DiagnosticCases.LENGTH;
import static io.xlstm4j.torch.DiagnosticCases.VOCABULARY;
import static io.xlstm4j.torch.DiagnosticCases.graph;
import static io.xlstm4j.torch.DiagnosticCases.layout;
import static io.xlstm4j.torch.DiagnosticCases.named;
import static io.xlstm4j.torch.DiagnosticCases.shake;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceModelConfig;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Whole models and their training, as [Diagnostics] computes them.
final class ModelDiagnosticCases {
  private static final int TRAINING_STEPS = 3;
  private static final double RATE = 0.05;

  private ModelDiagnosticCases() {}

  // ---- models

  private static Tensor ids(int from) {
    int[] ids = new int[BATCH * LENGTH];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (from + 7 * i + i / 5) % VOCABULARY;
    }
    return Tensors.of(ids, BATCH, LENGTH);
  }

  static DiagnosticCase.Graph languageModel(DiagnosticSetting setting, ModelConfig config) {
    var model = new XlstmLanguageModel(config, setting.parameters());
    model.backend(setting.backend());
    SequenceLayout layout = layout(setting);
    Tensor valid = Ops.present(layout.valid()).to(Torch.device("cpu"), ScalarType.Bool);
    Tensor targets = Ops.whereElse(valid, ids(5), Losses.IGNORED).to(ScalarType.Long);
    return graph(
        setting,
        model.parameters(),
        Map.of(),
        () ->
            Map.of("loss", model.loss(ids(0), targets, model.initialState(BATCH), layout).value()),
        model::close);
  }

  static DiagnosticCase.Graph sequenceModel(DiagnosticSetting setting) {
    var config =
        new SequenceModelConfig(
            3,
            2,
            SequenceModelConfig.Pooling.EVERY,
            SequenceLossConfig.mse(),
            BlockStackConfig.of(2, DIM, List.of(0)));
    var model = new SequenceModel(config, setting.parameters());
    model.backend(setting.backend());
    Tensor x = setting.leaf(1, BATCH, LENGTH, 3);
    return graph(
        setting,
        model.parameters(),
        Map.of("x", x),
        () -> Map.of("predictions", model.forward(x)),
        model::close);
  }

  // ---- training

  /// Parameters after some steps of plain gradient descent.
  static DiagnosticCase.Graph training(
      DiagnosticSetting setting, ModelConfig config, boolean recompute) {
    var model = new XlstmLanguageModel(config, setting.parameters());
    model.backend(setting.backend());
    model.activationCheckpointing(recompute);
    shake(setting, model.parameters());
    return new DiagnosticCase.Graph(
        Map.of(),
        () -> {
          Map<String, Tensor> parameters = model.parameters().byName();
          for (int step = 0; step < TRAINING_STEPS; step++) {
            try (var _ = new PointerScope()) {
              model.parameters().zeroGradients();
              model
                  .loss(ids(step), ids(step + 5), model.initialState(BATCH), SequenceLayout.FULL)
                  .value()
                  .backward();
              try (var _ = new NoGradGuard()) {
                for (Tensor parameter : parameters.values()) {
                  if (parameter.grad().defined()) {
                    parameter.add_(Ops.times(parameter.grad(), -RATE));
                  }
                }
              }
            }
          }
          return parameters;
        },
        model::close);
  }

  /// One step of AdamW on one parameter, by the kernel or by libtorch operations.
  static DiagnosticCase.Graph adamW(DiagnosticSetting setting) {
    Tensor parameter = setting.normal(1, 37);
    Tensor gradient = setting.normal(1, 37);
    Tensor mean = setting.normal(0.1, 37);
    Tensor square = setting.normal(0.1, 37).square();
    var step = new FusedAdamW.Step(0.5, 0.99, 0.01, 0.9, 0.95, 0.3, 1e-8);
    return new DiagnosticCase.Graph(
        Map.of(),
        () -> {
          if (setting.isFused()) {
            FusedAdamW.update(setting.kernels(), step, parameter, gradient, mean, square);
          } else {
            Tensor scaled = Ops.times(gradient, step.gradientScale());
            mean.mul_(Ops.number(step.beta1())).add_(scaled, Ops.number(1 - step.beta1()));
            square
                .mul_(Ops.number(step.beta2()))
                .addcmul_(scaled, scaled, Ops.number(1 - step.beta2()));
            Tensor root = Ops.times(square.sqrt(), 1 / step.squareCorrection());
            Tensor change = mean.div(root.add(Ops.number(step.epsilon())));
            parameter.mul_(Ops.number(step.decay())).add_(Ops.times(change, -step.rate()));
          }
          return named(List.of("parameter", "mean", "square"), List.of(parameter, mean, square));
        },
        () -> {});
  }
}
