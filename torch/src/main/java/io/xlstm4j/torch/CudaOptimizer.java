package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.zeros_like;

import io.xlstm4j.cuda.driver.CudaException;
import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.optimizer.OptimizerKernels;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// What an optimizer does with all parameters on one GPU, a few launches for all of them instead of
/// some for each. [AdamW]'s form on libtorch is the reference implementation: the kernels are
/// compared with it before first use, and not used where they are wrong.
final class CudaOptimizer {
  private static final System.Logger LOG = System.getLogger(CudaOptimizer.class.getPackageName());
  private static final Map<Integer, Optional<CudaOptimizer>> BY_DEVICE = new HashMap<>();
  private static final double TOLERANCE = 1e-5;

  private final CudaGpu gpu;
  private final OptimizerKernels kernels;

  private CudaOptimizer(CudaGpu gpu) {
    this.gpu = gpu;
    kernels = OptimizerKernels.load(gpu.context());
  }

  /// Returns the kernels for a parameter; null if it is on no GPU, or of a kind that they do not
  /// know.
  static @Nullable CudaOptimizer forParameter(Tensor parameter) {
    boolean takes =
        parameter.is_cuda()
            && parameter.scalar_type().intern() == ScalarType.Float
            && parameter.is_contiguous()
            && parameter.numel() > 0;
    return takes ? of(parameter.device().index()) : null;
  }

  private static @Nullable CudaOptimizer of(int device) {
    synchronized (BY_DEVICE) {
      return BY_DEVICE.computeIfAbsent(device, CudaOptimizer::load).orElse(null);
    }
  }

  private static Optional<CudaOptimizer> load(int device) {
    @Nullable String reason;
    try {
      var made = new CudaOptimizer(CudaGpu.open(device));
      reason = made.fault();
      if (reason == null) {
        return Optional.of(made);
      }
    } catch (CudaException | IllegalStateException e) {
      reason = e.getMessage();
    }
    LOG.log(
        Level.WARNING,
        "cuda:%d: the optimizer runs on libtorch's operations: %s".formatted(device, reason));
    return Optional.empty();
  }

  /// Returns the sum of squares of gradients, in float64. Waits for the device.
  ///
  /// @param gradients float32, none empty
  double sumOfSquares(List<Tensor> gradients) {
    List<DeviceSpan> spans = spans(gradients.stream().map(CudaTensors::aligned).toList());
    Device device = gpu.device();
    Tensor workspace = CudaTensors.bytes(device, OptimizerKernels.workspaceBytes(spans));
    Tensor total = CudaTensors.make(device, ScalarType.Double, 1);
    kernels.sumOfSquares(gpu.stream(), spans, CudaTensors.span(workspace), CudaTensors.span(total));
    return total.item_double();
  }

  /// Numbers of a parameter's update.
  ///
  /// @param gradient read only
  /// @param decay what the parameter is multiplied by first
  /// @param rate learning rate over the first moment's bias correction
  record Update(
      Tensor parameter, Tensor gradient, Tensor mean, Tensor square, double decay, double rate) {}

  /// Updates parameters and moments.
  void adamW(OptimizerKernels.Step step, List<Update> updates) {
    var slots = new ArrayList<OptimizerKernels.Slot>();
    for (Update update : updates) {
      update.parameter.unsafeGetTensorImpl().bump_version(); // as any change of libtorch's own does
      slots.add(
          new OptimizerKernels.Slot(
              CudaTensors.span(update.parameter),
              CudaTensors.span(CudaTensors.aligned(update.gradient)),
              CudaTensors.span(update.mean),
              CudaTensors.span(update.square),
              (float) update.decay,
              (float) update.rate));
    }
    kernels.adamW(gpu.stream(), step, slots);
  }

  /// Moves averages towards parameters by a share of the difference.
  void average(List<Tensor> parameters, List<Tensor> averages, double share) {
    averages.forEach(average -> average.unsafeGetTensorImpl().bump_version());
    kernels.average(gpu.stream(), spans(parameters), spans(averages), (float) share);
  }

  private static List<DeviceSpan> spans(List<Tensor> tensors) {
    return tensors.stream().map(CudaTensors::span).toList();
  }

  // ---- the comparison

  /// Returns what is wrong; null for nothing. Draws no random numbers.
  private @Nullable String fault() {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var gradients = new ArrayList<Tensor>();
      var ours = new ArrayList<Update>();
      var reference = new ArrayList<Update>();
      double squares = 0;
      for (int size : new int[] {1, 4095, 8193}) {
        Tensor gradient = ramp(size, 1);
        gradients.add(gradient);
        squares += gradient.to(ScalarType.Double).square().sum().item_double();
        Tensor parameter = ramp(size, 2);
        ours.add(new Update(parameter, gradient, ramp(size, 3), ramp(size, 4).abs(), 0.99, 0.01));
        reference.add(
            new Update(
                parameter.clone(),
                gradient.clone(),
                ramp(size, 3),
                ramp(size, 4).abs(),
                0.99,
                0.01));
      }
      if (!(Math.abs(sumOfSquares(gradients) / squares - 1) <= TOLERANCE)) {
        return "its kernel for the norm of gradients is wrong";
      }
      var step = new OptimizerKernels.Step(0.5f, 0.9, 0.99, 0.7f, 1e-8f);
      adamW(step, ours);
      for (Update update : reference) {
        AdamW.updateByOperations(
            update.parameter,
            update.gradient,
            update.mean,
            update.square,
            new FusedAdamW.Step(0.5, 0.99, 0.01, 0.9, 0.99, 0.7, 1e-8));
      }
      for (int i = 0; i < ours.size(); i++) {
        double error =
            Math.max(
                error(ours.get(i).parameter, reference.get(i).parameter),
                Math.max(
                    error(ours.get(i).mean, reference.get(i).mean),
                    error(ours.get(i).square, reference.get(i).square)));
        if (!(error <= TOLERANCE)) {
          return String.format(Locale.ROOT, "its kernel of AdamW is wrong by %.1e", error);
        }
      }
      List<Tensor> parameters = ours.stream().map(Update::parameter).toList();
      List<Tensor> averages = parameters.stream().map(p -> zeros_like(p)).toList();
      average(parameters, averages, 0.25);
      for (int i = 0; i < averages.size(); i++) {
        if (!(error(averages.get(i), Ops.times(parameters.get(i), 0.25)) <= TOLERANCE)) {
          return "its kernel of averages is wrong";
        }
      }
      return null;
    }
  }

  /// Numbers between -1 and 1 without a short period.
  private Tensor ramp(int size, int seed) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) Math.sin(seed + 0.7 * i);
    }
    return Tensors.of(values, size).to(gpu.device(), ScalarType.Float);
  }

  private static double error(Tensor ours, Tensor exact) {
    return ours.sub(exact).abs().max().item_double();
  }
}
