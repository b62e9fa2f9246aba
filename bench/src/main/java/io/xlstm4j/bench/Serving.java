package io.xlstm4j.bench;

import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.kernels.Kernels;
import java.util.LinkedHashMap;

/// The common part of prefill, decode and startup: a random model in each type of weights, and the
/// keys of their lines.
///
/// @param config of the model
/// @param timing of each case
record Serving(LargeModelConfig config, Timing timing) {
  /// Measures one case.
  @FunctionalInterface
  interface Work {
    /// @param line takes how long it took, and makes the measurement
    Measurement measure(RandomModel model, Line line);
  }

  /// The beginning of a measurement: its name and sizes.
  @FunctionalInterface
  interface Line {
    Measurement of(Timing.Result timed);
  }

  /// @throws IllegalArgumentException if the sizes do not fit each other
  static Serving of(Benchmark.Setting setting) {
    Sizes.Served served = setting.sizes().served();
    return new Serving(
        LargeModelConfig.of(served.vocab(), served.dim(), served.blocks(), setting.sizes().heads()),
        setting.timing());
  }

  /// One case.
  ///
  /// @param name of the case in float32, which is what the peers measure; others add their type
  Benchmark.Case benchCase(String name, RandomModel.Type type, Work work) {
    String full = type == RandomModel.Type.FLOAT32 ? name : name + ", " + type;
    return new Benchmark.Case(
        full,
        () -> {
          try (var model = RandomModel.write(config, type)) {
            Measurement measured = work.measure(model, timed -> line(full, type, timed));
            return full.equals(name) ? measured : measured.with(Comparison.BESIDE, name);
          }
        });
  }

  private Measurement line(String name, RandomModel.Type type, Timing.Result timed) {
    var keys = new LinkedHashMap<String, Object>();
    keys.put("D", config.embeddingDim());
    keys.put("NH", config.numHeads());
    keys.put("blocks", config.numBlocks());
    keys.put("parameters", ModelTensors.parameterCount(config));
    keys.put("weights", type.toString());
    return Measurement.of(name, Kernels.shared().threads().count(), timed, keys);
  }
}
