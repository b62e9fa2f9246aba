package io.xlstm4j.cuda.mlstm;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.GpuArrays;
import io.xlstm4j.cuda.driver.Cuda;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaDevice;
import io.xlstm4j.cuda.driver.CudaEvent;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.DeviceMemory;
import io.xlstm4j.cuda.driver.DeviceSpan;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Times the mLSTM kernels on a GPU by CUDA events: the median of many runs, inputs random, device
/// 0. docs/gpu.md says how to start it. With `once` each of the two large cases runs once, for a
/// profiler.
public final class GpuBenchmarks {
  private static final int WARM_UPS = 3;
  private static final int RUNS = 21;

  private final CudaContext context;
  private final MlstmKernels kernels;
  private final boolean once;

  private GpuBenchmarks(CudaContext context, MlstmKernels kernels, boolean once) {
    this.context = context;
    this.kernels = kernels;
    this.once = once;
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
        var kernels = MlstmKernels.load(context)) {
      var benchmarks = new GpuBenchmarks(context, kernels, List.of(args).contains("once"));
      benchmarks.run();
    }
  }

  private void run() {
    var wide = new MlstmShape(8, 8192, 8, 256, 512);
    var narrow = new MlstmShape(8, 8192, 16, 128, 256);
    time(wide, ElementType.BFLOAT16, MlstmChunks.SHORT);
    time(narrow, ElementType.BFLOAT16, MlstmChunks.SHORT);
    if (once) {
      time(new MlstmShape(1, 65_536, 4, 128, 256), ElementType.BFLOAT16, MlstmChunks.SHORT);
      return;
    }
    time(wide, ElementType.BFLOAT16, MlstmChunks.LONG);
    time(narrow, ElementType.BFLOAT16, MlstmChunks.LONG);
    time(new MlstmShape(16, 512, 4, 384, 384), ElementType.BFLOAT16, MlstmChunks.LONG);
    time(new MlstmShape(8, 2048, 4, 96, 192), ElementType.BFLOAT16, MlstmChunks.LONG);
    time(wide, ElementType.BFLOAT16, MlstmVariant.GENERAL, MlstmChunks.SHORT);
    time(narrow, ElementType.BFLOAT16, MlstmVariant.GENERAL, MlstmChunks.SHORT);
    time(wide, ElementType.BFLOAT16, MlstmChunks.SHORT);
    for (int[] size :
        new int[][] {
          {16, 512, 4, 384, 384}, // blocks of width 768
          {8, 2048, 4, 96, 192}, // Large, width 768
          {8, 2048, 4, 128, 256}, // Large, width 1,024
          {16, 256, 4, 64, 64}, // blocks of width 128
          {128, 512, 4, 128, 256}, // the same number of tokens at several lengths
          {32, 2048, 4, 128, 256},
          {8, 8192, 4, 128, 256},
          {1, 65_536, 4, 128, 256}
        }) {
      var shape = new MlstmShape(size[0], size[1], size[2], size[3], size[4]);
      time(shape, ElementType.BFLOAT16, MlstmChunks.SHORT);
      if (size[0] == 8) {
        time(shape, ElementType.FLOAT32, MlstmChunks.SHORT);
      }
    }
  }

  private void time(MlstmShape shape, ElementType type, int chunkLength) {
    time(shape, type, kernels.fastest(type), chunkLength);
  }

  private void time(MlstmShape shape, ElementType type, MlstmVariant variant, int chunkLength) {
    MlstmPlan plan = kernels.plan(shape, type, variant, chunkLength);
    try (var stream = context.newStream();
        var arrays = new GpuArrays(context, stream)) {
      var inputs =
          new MlstmInputs(
              random(arrays, stream, shape.qkValues(), 1, 0, type),
              random(arrays, stream, shape.qkValues(), 1, 0, type),
              random(arrays, stream, shape.vValues(), 1, 0, type),
              random(arrays, stream, shape.gateValues(), 1, 0, ElementType.FLOAT32),
              random(arrays, stream, shape.gateValues(), 1, 4, ElementType.FLOAT32),
              null,
              null,
              null);
      DeviceSpan dh = random(arrays, stream, shape.vValues(), 1, 0, type);
      DeviceMemory h = arrays.poisoned(shape.vValues() * type.bytes());
      DeviceMemory saved = arrays.poisoned(plan.savedBytes());
      DeviceMemory workspace = arrays.poisoned(plan.workspaceBytes());
      var gradients =
          new MlstmGradients(
              arrays.poisoned(shape.qkValues() * type.bytes()).span(),
              arrays.poisoned(shape.qkValues() * type.bytes()).span(),
              arrays.poisoned(shape.vValues() * type.bytes()).span(),
              arrays.poisoned(shape.gateValues() * Float.BYTES).span(),
              arrays.poisoned(shape.gateValues() * Float.BYTES).span(),
              null);
      Runnable forward =
          () -> plan.forward(stream, inputs, h.span(), null, saved.span(), workspace.span());
      Runnable backward =
          () ->
              plan.backward(
                  stream, inputs, h.span(), saved.span(), dh, null, gradients, workspace.span());
      Runnable both =
          () -> {
            forward.run();
            backward.run();
          };
      if (once) {
        both.run();
        stream.synchronize();
        return;
      }
      System.out.printf(
          "B %3d S %5d NH %2d DQK %3d DHV %3d %-8s %-7s chunks of %d: forward %.3f ms, backward %.3f, both %.3f; saved %,d bytes, workspace %,d%n",
          shape.batch(),
          shape.length(),
          shape.heads(),
          shape.qkDim(),
          shape.vDim(),
          type,
          plan.variant(),
          plan.chunkLength(),
          median(stream, forward),
          median(stream, backward),
          median(stream, both),
          plan.savedBytes(),
          plan.workspaceBytes());
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

  /// Random values, which repeat after some millions.
  private static DeviceSpan random(
      GpuArrays arrays,
      CudaStream stream,
      long count,
      double scale,
      double mean,
      ElementType type) {
    var dice = new Random(count);
    DeviceMemory memory = arrays.poisoned(count * type.bytes());
    long block = Math.min(count, 1_000_003);
    try (var arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(count * type.bytes(), 16);
      for (long i = 0; i < block; i++) {
        float value = (float) (mean + scale * dice.nextGaussian());
        if (type == ElementType.FLOAT32) {
          host.setAtIndex(JAVA_FLOAT, i, value);
        } else {
          host.setAtIndex(JAVA_SHORT, i, GpuArrays.toBfloat16(value));
        }
      }
      long bytes = block * type.bytes();
      for (long at = bytes; at < host.byteSize(); at += bytes) {
        MemorySegment.copy(host, 0, host, at, Math.min(bytes, host.byteSize() - at));
      }
      memory.write(stream, host);
    }
    return memory.span();
  }
}
