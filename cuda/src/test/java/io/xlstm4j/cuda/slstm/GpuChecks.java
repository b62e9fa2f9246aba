package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.binary.KernelBinary;
import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.Cuda;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// Checks the sLSTM kernels on a GPU against the float64 reference, on random inputs that differ at
/// each run. A program of its own, because the build runs on machines without a GPU; docs/gpu.md
/// says how to start it.
///
/// Arguments: `quick` for a few cases (for compute-sanitizer), `ptx` to let the driver compile the
/// intermediate code, `seed=N` to repeat a run. Ends with 1 if a result is wrong, and with 2 on a
/// machine without a GPU.
public final class GpuChecks {
  private static final int[] WIDTHS = {32, 64, 96, 192, 256, 40, 33, 512, 1024};

  private final CudaContext context;
  private final SlstmKernels kernels;
  private final Random random;
  private int wrong;
  private int checked;

  private GpuChecks(CudaContext context, SlstmKernels kernels, long seed) {
    this.context = context;
    this.kernels = kernels;
    random = new Random(seed);
  }

  public static void main(String[] args) {
    List<String> words = List.of(args);
    Cuda.Devices found = Cuda.devices();
    if (found.devices().isEmpty()) {
      System.err.println("no GPU, nothing was checked: " + found.reason());
      System.exit(2);
    }
    long seed = System.nanoTime();
    for (String word : words) {
      if (word.startsWith("seed=")) {
        seed = Long.parseLong(word.substring("seed=".length()));
      }
    }
    CudaDevice device = found.devices().get(0);
    System.out.printf(
        "%s, capability %s, driver for CUDA %d, seed %d%n",
        device.name(), device.capability(), Cuda.driverVersion(), seed);
    try (var context = Cuda.open(device);
        var kernels = load(context, words.contains("ptx"))) {
      var checks = new GpuChecks(context, kernels, seed);
      if (words.contains("quick")) {
        checks.few();
      } else {
        checks.all();
      }
      System.out.printf("%d checked, %d wrong%n", checks.checked, checks.wrong);
      System.exit(checks.wrong == 0 ? 0 : 1);
    }
  }

  private static SlstmKernels load(CudaContext context, boolean intermediate) {
    if (!intermediate) {
      return SlstmKernels.load(context);
    }
    return SlstmKernels.load(
        context,
        source ->
            Optional.of(
                KernelBinary.all(source).stream()
                    .filter(b -> !b.machineCode())
                    .findFirst()
                    .orElseThrow()));
  }

  private void few() {
    for (ElementType type : ElementType.values()) {
      for (SlstmVariant variant : variants()) {
        check(new SlstmShape(3, 5, 2, 96), type, true, true, variant);
        check(new SlstmShape(17, 4, 1, 33), type, true, true, variant);
      }
      check(new SlstmShape(2, 3, 1, 512), type, true, true, null);
    }
  }

  private void all() {
    for (ElementType type : ElementType.values()) {
      for (SlstmVariant variant : variants()) {
        for (int length : new int[] {1, 2, 3, 5, 37}) {
          check(new SlstmShape(3, length, 2, 64), type, length % 2 == 1, length > 2, variant);
        }
        for (int width : WIDTHS) {
          int batch = width > 256 ? 2 : 1 + random.nextInt(20);
          int length = width > 256 ? 6 : 20;
          int heads = width > 256 ? 1 : 1 + random.nextInt(3);
          check(new SlstmShape(batch, length, heads, width), type, true, true, variant);
          check(new SlstmShape(batch, length, heads, width), type, false, false, variant);
        }
        check(new SlstmShape(64, 9, 8, 32), type, true, true, variant);
        check(new SlstmShape(16, 64, 4, 192), type, false, false, variant);
        check(new SlstmShape(1, 300, 1, 48), type, true, false, variant);
      }
    }
  }

  private List<SlstmVariant> variants() {
    var all = new ArrayList<SlstmVariant>();
    all.add(SlstmVariant.GENERAL);
    if (context.device().hasClusters()) {
      all.add(SlstmVariant.CLUSTER);
    }
    return all;
  }

  private void check(
      SlstmShape shape,
      ElementType type,
      boolean state,
      boolean masks,
      @Nullable SlstmVariant variant) {
    var given = new GpuCase(shape, type, state, masks);
    String result;
    boolean right;
    try {
      GpuCase.Outcome outcome = given.run(context, kernels, variant, random);
      right = outcome.worst() <= given.tolerance() && outcome.sameBits();
      var text = new StringBuilder();
      outcome.errors().forEach((name, error) -> text.append(" %s %.1e".formatted(name, error)));
      result = text + (outcome.sameBits() ? "" : ", two runs DIFFER");
    } catch (IllegalArgumentException e) {
      right = false;
      result = " " + e.getMessage();
    }
    checked++;
    wrong += right ? 0 : 1;
    System.out.printf(
        "%-5s %-8s %-7s B %2d S %3d NH %d DH %4d %-5s %-5s%s%n",
        right ? "ok" : "WRONG",
        type,
        variant == null ? "chosen" : variant,
        shape.batch(),
        shape.length(),
        shape.heads(),
        shape.headDim(),
        state ? "state" : "",
        masks ? "masks" : "",
        result);
  }
}
