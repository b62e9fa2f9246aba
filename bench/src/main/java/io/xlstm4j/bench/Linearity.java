package io.xlstm4j.bench;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.kernels.Kernels;
import java.util.List;
import java.util.Locale;

/// A check that time and memory grow with the number of tokens alone: the large model's training
/// step on short and on long sequences, as many tokens in each step, each in a process of its own,
/// so that the peak of the memory is that of the case.
final class Linearity implements Benchmark {
  /// The long sequences are so many times as long as the short ones, and so many times fewer.
  private static final int STRETCH = 8;

  @Override
  public String name() {
    return "linearity";
  }

  @Override
  public String description() {
    return "the training step on rows of 2 S and 16 S, the same tokens in each";
  }

  @Override
  public List<Case> cases(Setting setting) {
    Sizes sizes = setting.sizes();
    Check.divides("8", STRETCH, "batch", sizes.batch());
    int shortRows = 2 * sizes.length();
    return List.of(
        benchCase(setting, sizes.batch(), shortRows),
        benchCase(setting, sizes.batch() / STRETCH, shortRows * STRETCH));
  }

  private static Case benchCase(Setting setting, int batch, int length) {
    String step = "%d blocks, sLSTM at 1".formatted(setting.sizes().blocks());
    String name = "%s: B %d, S %d".formatted(step, batch, length);
    return new Case(
        name,
        () -> {
          List<Measurement> measured =
              setting.fresh().bench(arguments(setting, step, batch, length));
          if (measured.size() != 1) {
            throw new InvalidInputException(
                "one measurement of %s was expected, but %d came".formatted(step, measured.size()));
          }
          return measured.getFirst().renamed(name);
        });
  }

  private static List<String> arguments(Setting setting, String step, int batch, int length) {
    Sizes sizes = setting.sizes();
    Timing timing = setting.timing();
    return List.of(
        "train-step",
        "--case=" + step,
        "--threads=" + Kernels.shared().threads().count(), // as many as here
        "--batch=" + batch,
        "--seq=" + length,
        "--dim=" + sizes.dim(),
        "--heads=" + sizes.heads(),
        "--vocab=" + sizes.vocab(),
        "--blocks=" + sizes.blocks(),
        "--reps=" + timing.reps(),
        String.format(Locale.ROOT, "--warmup=%s", timing.warmupSeconds()),
        String.format(Locale.ROOT, "--least=%s", timing.leastSeconds()));
  }
}
