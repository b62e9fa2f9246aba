package io.xlstm4j.train;

import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.train.logging.Histogram;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;

/// Counts the values of weights and gradients into histograms, on the thread that trains, since the
/// next step changes them. A failure is one warning.
final class HistogramCallback implements SynchronousCallback {
  private final int every;
  private final Warnings warnings;
  private final Receiver receiver;

  /// Takes histograms by name; does not wait.
  interface Receiver {
    void accept(int step, Map<String, Histogram> byName);
  }

  /// @param every so many steps; positive
  HistogramCallback(int every, Warnings warnings, Receiver receiver) {
    this.every = every;
    this.warnings = warnings;
    this.receiver = receiver;
  }

  @Override
  public void onStep(LiveRun run, Callback.Step step) {
    if (step.number() % every != 0) {
      return;
    }
    try (var _ = new PointerScope()) {
      var byName = new LinkedHashMap<String, Histogram>();
      count(byName, "weights/", run.task().weights());
      count(byName, "gradients/", run.gradients());
      receiver.accept(step.number(), byName);
    } catch (RuntimeException | OutOfMemoryError e) {
      warnings.failed("histograms", e);
    }
  }

  private static void count(Map<String, Histogram> into, String group, List<TensorData> tensors) {
    for (TensorData tensor : tensors) {
      if (tensor.dtype() == DType.F32) {
        float[] values = tensor.data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
        into.put(group + tensor.name(), Histogram.of(values));
      }
    }
  }
}
