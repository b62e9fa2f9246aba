package io.xlstm4j.torch;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The step of exponential moving averages of many tensors.
public final class MovingAverages {
  private MovingAverages() {}

  /// `average += share (value - average)` for each.
  ///
  /// @param values read only
  /// @param averages of the same shapes and types and on the same devices, in order; updated
  /// @param share between 0 and 1
  public static void update(List<Tensor> values, List<Tensor> averages, double share) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var onGpu = new LinkedHashMap<CudaOptimizer, List<Integer>>();
      for (int i = 0; i < values.size(); i++) {
        @Nullable CudaOptimizer cuda = CudaOptimizer.forParameter(averages.get(i));
        if (cuda == null || CudaOptimizer.forParameter(values.get(i)) == null) {
          averages.get(i).lerp_(values.get(i).detach(), new Scalar(share));
        } else {
          onGpu.computeIfAbsent(cuda, _ -> new ArrayList<>()).add(i);
        }
      }
      for (Map.Entry<CudaOptimizer, List<Integer>> entry : onGpu.entrySet()) {
        List<Integer> which = entry.getValue();
        entry
            .getKey()
            .average(
                which.stream().map(values::get).toList(),
                which.stream().map(averages::get).toList(),
                share);
      }
    }
  }
}
