package io.xlstm4j.train.series;

import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceModelConfig.Pooling;
import io.xlstm4j.torch.SequenceLayout;
import io.xlstm4j.torch.SequenceModel;
import io.xlstm4j.torch.Tensors;
import io.xlstm4j.train.config.SeriesConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.BooleanSupplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;

/// Errors of a model on windows of series.
///
/// @param loss that is minimised, of scaled values, mean over the targets that are there
/// @param targets how many those are
/// @param measures of [ForecastErrors], in the unit of the columns
public record WindowErrors(double loss, long targets, SequencedMap<String, Double> measures) {
  /// Means of sums, which may come from several processes.
  ///
  /// @param windows that were measured
  /// @param sums as [#sums] gives them
  public static WindowErrors of(SequenceLossConfig loss, SeriesWindows windows, double[] sums) {
    return new WindowErrors(
        sums[0] / sums[1],
        (long) sums[1],
        ForecastErrors.measures(loss, Arrays.copyOfRange(sums, 2, sums.length), windows.unit()));
  }

  /// Sums over windows that are evenly spread.
  ///
  /// @param count how many of all windows are taken
  /// @param from the first of them that is this process's
  /// @param to one past its last
  /// @param batch windows at once
  /// @param stop asked before every batch; ends the measurement
  /// @return the loss, its targets, and the sums of [ForecastErrors]
  public static double[] sums(
      SequenceModel model,
      SeriesWindows windows,
      int count,
      int from,
      int to,
      int batch,
      BooleanSupplier stop) {
    var errors = new ForecastErrors(model.config().loss(), windows.unit());
    double[] sums = new double[2 + ForecastErrors.SUMS];
    for (int first = from; first < to && !stop.getAsBoolean(); first += batch) {
      var places = new ArrayList<SeriesWindows.Place>();
      var items = new ArrayList<SequenceDataset.Item>();
      for (int i = first; i < Math.min(to, first + batch); i++) {
        long index = i * windows.size() / count;
        places.add(windows.place(index));
        items.add(windows.item(index));
      }
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        SequenceModel.Loss part = lossOf(model, windows.config(), items);
        sums[0] += part.sum().item_double();
        sums[1] += part.targets();
      }
      List<float[]> said =
          model.predict(items.stream().map(SequenceDataset.Item::features).toList());
      for (int i = 0; i < items.size(); i++) {
        errors.add(windows, places.get(i), said.get(i));
      }
    }
    System.arraycopy(errors.sums(), 0, sums, 2, ForecastErrors.SUMS);
    return sums;
  }

  /// The loss of windows, which all have `context` rows.
  ///
  /// @param items at least one
  public static SequenceModel.Loss lossOf(
      SequenceModel model, SeriesConfig series, List<SequenceDataset.Item> items) {
    int rows = items.size();
    int outputs = series.outputs();
    Tensor targets =
        series.pooling() == Pooling.EVERY
            ? Tensors.of(joined(items, true), rows, series.context(), outputs)
            : Tensors.of(joined(items, true), rows, outputs);
    Tensor x = Tensors.of(joined(items, false), rows, series.context(), series.inputs());
    return model.lossSum(x, targets, SequenceLayout.FULL);
  }

  private static float[] joined(List<SequenceDataset.Item> items, boolean targets) {
    int each = (targets ? items.getFirst().targets() : items.getFirst().features()).length;
    float[] all = new float[items.size() * each];
    for (int i = 0; i < items.size(); i++) {
      float[] one = targets ? items.get(i).targets() : items.get(i).features();
      System.arraycopy(one, 0, all, i * each, each);
    }
    return all;
  }
}
