package io.xlstm4j.bench;

import io.xlstm4j.runtime.RuntimeModel;
import io.xlstm4j.runtime.Sequence;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// Reading a prompt of 2 S random tokens, up to the logits after its last, in each type of weights.
final class Prefill implements Benchmark {
  @Override
  public String name() {
    return "prefill";
  }

  @Override
  public String description() {
    return "a random Large model reads a prompt of 2 S tokens, in each type of weights";
  }

  @Override
  public double warmupSeconds() {
    return 5;
  }

  @Override
  public List<Case> cases(Setting setting) {
    Serving serving = Serving.of(setting);
    int tokens = 2 * setting.sizes().length();
    return Stream.of(RandomModel.Type.values())
        .map(type ->
            serving.benchCase(
                "prefill " + tokens,
                type,
                (model, line) -> measure(model, line, tokens, serving.timing())))
        .toList();
  }

  private static Measurement measure(
      RandomModel folder, Serving.Line line, int tokens, Timing timing) {
    try (var model = RuntimeModel.open(folder.folder())) {
      int[] ids = new Random(0).ints(tokens, 0, model.vocabSize()).toArray();
      Timing.Result timed =
          timing.measure(() -> {
            try (Sequence row = model.newSequence()) {
              model.prefill(row, ids);
            }
          });
      return line.of(timed).with("B", 1).with("S", tokens).withTokens(tokens);
    }
  }
}
