package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.binary.KernelBinary;
import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.Cuda;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaDevice;
import io.xlstm4j.cuda.mlstm.GpuCase.Masks;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;

/// Checks the mLSTM kernels on a GPU against the float64 reference, on random inputs that differ at
/// each run. A program of its own, because the build runs on machines without a GPU; docs/gpu.md
/// says how to start it.
///
/// Arguments: `quick` for a few cases (for compute-sanitizer), `ptx` to let the driver compile the
/// intermediate code, `seed=N` to repeat a run. Ends with 1 if a result is wrong, and with 2 on a
/// machine without a GPU.
public final class GpuChecks {
  /// Around the borders of chunks of 128 and of their stages of 32.
  private static final int[] LENGTHS = {
    1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300
  };

  /// Widths of keys and values, equal and different, of tiles and not.
  private static final int[][] WIDTHS = {
    {64, 64},
    {32, 32},
    {16, 16},
    {8, 24},
    {33, 47},
    {40, 56},
    {128, 128},
    {136, 72},
    {200, 136},
    {1, 1},
    {128, 256},
    {256, 512}
  };

  private final CudaContext context;
  private final MlstmKernels kernels;
  private final Random random;
  private MlstmVariant variant = MlstmVariant.GENERAL;
  private int wrong;
  private int checked;

  private GpuChecks(CudaContext context, MlstmKernels kernels, long seed) {
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
      for (ElementType type : ElementType.values()) {
        for (MlstmVariant variant : EnumSet.of(MlstmVariant.GENERAL, kernels.fastest(type))) {
          checks.variant = variant;
          if (words.contains("quick")) {
            checks.few(type);
          } else {
            checks.all(type);
          }
        }
      }
      System.out.printf("%d checked, %d wrong%n", checks.checked, checks.wrong);
      System.exit(checks.wrong == 0 ? 0 : 1);
    }
  }

  private static MlstmKernels load(CudaContext context, boolean intermediate) {
    if (!intermediate) {
      return MlstmKernels.load(context);
    }
    return MlstmKernels.load(
        context,
        source -> KernelBinary.all(source).stream().filter(b -> !b.machineCode()).findFirst());
  }

  private void few(ElementType type) {
    check(new MlstmShape(2, 140, 1, 40, 72), type, true, Masks.STARTS, MlstmChunks.SHORT);
    check(new MlstmShape(1, 150, 1, 136, 200), type, true, Masks.NONE, MlstmChunks.SHORT);
    check(new MlstmShape(1, 270, 1, 33, 47), type, true, Masks.STARTS, MlstmChunks.LONG);
    segments(type);
  }

  private void all(ElementType type) {
    for (int length : LENGTHS) {
      boolean odd = random.nextBoolean();
      check(
          new MlstmShape(3, length, 2, 64, 64),
          type,
          odd,
          odd ? Masks.STARTS : Masks.BOTH,
          MlstmChunks.SHORT);
      check(
          new MlstmShape(3, length, 2, 32, 64),
          type,
          !odd,
          odd ? Masks.BOTH : Masks.STARTS,
          MlstmChunks.LONG);
    }
    // documents without padding
    check(new MlstmShape(3, 290, 2, 72, 136), type, true, Masks.STARTS, MlstmChunks.SHORT);
    check(new MlstmShape(2, 530, 2, 128, 64), type, true, Masks.STARTS, MlstmChunks.LONG);
    for (int[] width : WIDTHS) {
      int length = 130 + random.nextInt(70);
      int batch = width[1] > 256 ? 1 : 3;
      int chunk = random.nextBoolean() ? MlstmChunks.SHORT : MlstmChunks.LONG;
      var shape = new MlstmShape(batch, length, 1 + random.nextInt(2), width[0], width[1]);
      check(shape, type, true, Masks.BOTH, chunk);
      check(shape, type, false, Masks.NONE, chunk);
    }
    check(new MlstmShape(1, 1500, 2, 48, 96), type, false, Masks.NONE, MlstmChunks.SHORT);
    check(new MlstmShape(1, 1500, 2, 48, 96), type, false, Masks.NONE, MlstmChunks.LONG);
    segments(type);
  }

  private void segments(ElementType type) {
    var shape = new MlstmShape(3, 600, 1, 40, 24);
    check(
        shape,
        type,
        true,
        Masks.NONE,
        kernels.plan(shape, type, variant, new MlstmChunks(128, 5, 2)));
    check(
        shape,
        type,
        true,
        Masks.STARTS,
        kernels.plan(shape, type, variant, new MlstmChunks(128, 5, 1)));
  }

  private void check(
      MlstmShape shape, ElementType type, boolean state, Masks masks, int chunkLength) {
    check(shape, type, state, masks, kernels.plan(shape, type, variant, chunkLength));
  }

  private void check(
      MlstmShape shape, ElementType type, boolean state, Masks masks, MlstmPlan plan) {
    var given = new GpuCase(shape, type, state, masks);
    GpuCase.Outcome outcome = given.run(context, plan, random);
    boolean right = outcome.worst() <= given.tolerance() && outcome.sameBits();
    var text = new StringBuilder();
    outcome.errors().forEach((name, error) -> text.append(" %s %.1e".formatted(name, error)));
    checked++;
    wrong += right ? 0 : 1;
    System.out.printf(
        "%-5s %-8s %-7s B %d S %4d NH %d DQK %3d DHV %3d chunks of %d %-5s %-6s%s, %.0f %% of h%s%n",
        right ? "ok" : "WRONG",
        type,
        plan.variant(),
        shape.batch(),
        shape.length(),
        shape.heads(),
        shape.qkDim(),
        shape.vDim(),
        plan.chunkLength(),
        state ? "state" : "",
        masks,
        text,
        100 * outcome.kept(),
        outcome.sameBits() ? "" : ", two runs DIFFER");
  }
}
