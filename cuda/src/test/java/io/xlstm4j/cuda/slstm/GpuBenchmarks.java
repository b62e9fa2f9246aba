package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.GpuArrays;
import io.xlstm4j.cuda.driver.Cuda;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaDevice;
import io.xlstm4j.cuda.driver.CudaEvent;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.DeviceMemory;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Times the sLSTM kernels on a GPU by CUDA events: the median of many runs, inputs random, device
/// 0. docs/gpu.md says how to start it. With `layouts` also other divisions of a head than the
/// plan's own.
public final class GpuBenchmarks {
  private static final int WARM_UPS = 5;
  private static final int RUNS = 30;

  private final CudaContext context;
  private final SlstmKernels kernels;

  private GpuBenchmarks(CudaContext context, SlstmKernels kernels) {
    this.context = context;
    this.kernels = kernels;
  }

  public static void main(String[] args) {
    Cuda.Devices found = Cuda.devices();
    if (found.devices().isEmpty()) {
      System.err.println("no GPU, nothing was measured: " + found.reason());
      System.exit(2);
    }
    CudaDevice device = found.devices().get(0);
    System.out.printf("%s, driver for CUDA %d%n", device.name(), Cuda.driverVersion());
    try (var context = Cuda.open(device);
        var kernels = SlstmKernels.load(context)) {
      var benchmarks = new GpuBenchmarks(context, kernels);
      benchmarks.run(List.of(args).contains("layouts"));
    }
  }

  private void run(boolean layouts) {
    var target = new SlstmShape(16, 1024, 4, 192);
    time("", kernels.plan(target, ElementType.BFLOAT16));
    time("again", kernels.plan(target, ElementType.BFLOAT16));
    time("", kernels.plan(target, ElementType.FLOAT32));
    time("", kernels.plan(target, ElementType.BFLOAT16, SlstmVariant.GENERAL));
    time("", kernels.plan(target, ElementType.FLOAT32, SlstmVariant.GENERAL));
    for (int width : new int[] {32, 64, 128, 256, 512, 1024}) {
      time("", kernels.plan(new SlstmShape(16, 1024, 4, width), ElementType.BFLOAT16));
    }
    for (int width : new int[] {256, 512}) {
      time("", kernels.plan(new SlstmShape(16, 1024, 4, width), ElementType.FLOAT32));
    }
    time("", kernels.plan(new SlstmShape(64, 1024, 4, 192), ElementType.BFLOAT16));
    time("", kernels.plan(new SlstmShape(16, 256, 4, 32), ElementType.BFLOAT16));
    if (layouts) {
      for (int[] division :
          new int[][] {
            {192, 4, 6},
            {192, 8, 3},
            {192, 12, 2},
            {32, 2, 2},
            {32, 4, 1},
            {64, 4, 2},
            {64, 8, 1},
            {128, 8, 2},
            {256, 16, 2}
          }) {
        var shape = new SlstmShape(16, 1024, 4, division[0]);
        try {
          time(
              "C %d W %d".formatted(division[1], division[2]),
              kernels.plan(shape, ElementType.BFLOAT16, division[1], division[2]));
        } catch (RuntimeException e) {
          System.out.printf("C %d W %d: %s%n", division[1], division[2], e.getMessage());
        }
      }
    }
  }

  private void time(String word, SlstmPlan plan) {
    SlstmShape shape = plan.shape();
    ElementType type = plan.type();
    var random = new Random(1);
    try (var stream = context.newStream();
        var arrays = new GpuArrays(context, stream)) {
      var inputs =
          new SlstmInputs(
              arrays.of(gaussian(random, shape.gateValues(), 1), type),
              arrays.of(
                  gaussian(random, shape.kernelValues(), 1 / Math.sqrt(shape.headDim())), type),
              arrays.of(gaussian(random, shape.biasValues(), 1), ElementType.FLOAT32),
              null,
              null,
              null);
      var dy = arrays.of(gaussian(random, shape.outputValues(), 1), type);
      DeviceMemory y = arrays.poisoned(shape.outputValues() * type.bytes());
      DeviceMemory saved = arrays.poisoned(plan.savedBytes());
      DeviceMemory workspace = arrays.poisoned(plan.workspaceBytes());
      var gradients =
          new SlstmGradients(
              arrays.poisoned(shape.gateValues() * type.bytes()).span(),
              arrays.poisoned(shape.kernelValues() * Float.BYTES).span(),
              arrays.poisoned(shape.biasValues() * Float.BYTES).span(),
              null);
      Runnable infer = () -> plan.forward(stream, inputs, y.span(), null, null, workspace.span());
      Runnable forward =
          () -> plan.forward(stream, inputs, y.span(), null, saved.span(), workspace.span());
      Runnable backward =
          () ->
              plan.backward(
                  stream, inputs, y.span(), saved.span(), dy, null, gradients, workspace.span());
      double inferMs = median(stream, infer);
      double forwardMs = median(stream, forward);
      double backwardMs = median(stream, backward);
      double bothMs =
          median(
              stream,
              () -> {
                forward.run();
                backward.run();
              });
      System.out.printf(
          "B %2d S %4d NH %d DH %4d %-8s %-7s forward %.3f ms, with saved values %.3f, backward %.3f, both %.3f; %.0f ns a step forward %s%n",
          shape.batch(),
          shape.length(),
          shape.heads(),
          shape.headDim(),
          type,
          plan.variant(),
          inferMs,
          forwardMs,
          backwardMs,
          bothMs,
          inferMs * 1e6 / shape.length(),
          word);
    }
  }

  private double median(CudaStream stream, Runnable work) {
    var times = new double[RUNS];
    try (CudaEvent start = context.newEvent();
        CudaEvent end = context.newEvent()) {
      for (int i = -WARM_UPS; i < RUNS; i++) {
        start.record(stream);
        work.run();
        end.record(stream);
        end.synchronize();
        if (i >= 0) {
          times[i] = end.millisecondsSince(start);
        }
      }
    }
    Arrays.sort(times);
    return times[RUNS / 2];
  }

  /// Values from a table, because there are hundreds of millions.
  private static double[] gaussian(Random random, long count, double scale) {
    var table = new double[1 << 16];
    for (int i = 0; i < table.length; i++) {
      table[i] = scale * random.nextGaussian();
    }
    var values = new double[Math.toIntExact(count)];
    for (int i = 0; i < values.length; i++) {
      values[i] = table[(i * 0x9E3779B1) >>> 16];
    }
    return values;
  }
}
