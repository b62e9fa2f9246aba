package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.GpuArrays;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.DeviceMemory;
import io.xlstm4j.cuda.driver.DeviceSpan;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// One random input of the cell and what came out of the GPU and of the reference for it.
///
/// @param shape sizes
/// @param type element type
/// @param state whether there is an initial state, and gradients into the final one
/// @param masks whether there are padding and document starts
record GpuCase(SlstmShape shape, ElementType type, boolean state, boolean masks) {
  private static final double SAFE_MARGIN = 1e-4;

  /// ‖out − ref‖ / ‖ref‖ of every result, by name, and whether a second run gave the same bits.
  record Outcome(SlstmVariant variant, Map<String, Double> errors, boolean sameBits) {
    double worst() {
      double worst = 0;
      for (double error : errors.values()) {
        if (!(error <= worst)) { // NaN too
          worst = error;
        }
      }
      return worst;
    }
  }

  /// The largest error to accept. Sums of float32 products of pairs of bfloat16 values are off by
  /// 2^-16 of an operand, and gradients pass through as many of them as the sequence has tokens;
  /// bfloat16 values are themselves off by 2^-9.
  double tolerance() {
    return type == ElementType.FLOAT32 ? 3e-4 : 2e-2;
  }

  /// Chooses the gradient of the final m so that which gate sets m does not matter: outputs alone
  /// give such gradients. Other ones jump where the two candidates for m meet, and rounding then
  /// decides which side a result is on.
  private static void settle(double[] dLast, double[] last, int states) {
    for (int i = 0; i < states; i++) {
      dLast[3 * states + i] =
          last[states + i] * dLast[states + i] + last[2 * states + i] * dLast[2 * states + i];
    }
  }

  Outcome run(
      CudaContext context, SlstmKernels kernels, @Nullable SlstmVariant variant, Random random) {
    int outputs = (int) shape.outputValues();
    int states = (int) shape.stateValues();
    double[] wx = gaussian(random, (int) shape.gateValues(), 1, type);
    double[] r = gaussian(random, (int) shape.kernelValues(), 1 / Math.sqrt(shape.headDim()), type);
    double[] bias = gaussian(random, (int) shape.biasValues(), 0.5, ElementType.FLOAT32);
    double[] dy = gaussian(random, outputs, 1, type);
    double[] initial = initial(random, states);
    double[] dLast =
        state ? gaussian(random, 4 * states, 1, ElementType.FLOAT32) : new double[4 * states];
    boolean[] valid = new boolean[shape.positions()];
    boolean[] starts = new boolean[shape.positions()];
    Arrays.fill(valid, true);
    if (masks) {
      mask(random, valid, starts);
    }
    for (int i = 0; i < outputs; i++) { // a gradient at padding must have no effect
      if (!valid[i / (int) shape.units()]) {
        dy[i] = Double.NaN;
      }
    }
    var reference = new SlstmReference(shape, wx, r, bias, initial, valid, starts);
    if (type == ElementType.BFLOAT16 || reference.margin < SAFE_MARGIN) {
      settle(dLast, reference.last, states);
    }
    reference.backward(dy, dLast);

    SlstmPlan plan =
        variant == null ? kernels.plan(shape, type) : kernels.plan(shape, type, variant);
    try (var stream = context.newStream();
        var arrays = new GpuArrays(context, stream)) {
      var inputs =
          new SlstmInputs(
              arrays.of(wx, type),
              arrays.of(r, type),
              arrays.of(bias, ElementType.FLOAT32),
              state ? state(arrays, initial) : null,
              masks ? arrays.of(valid) : null,
              masks ? arrays.of(starts) : null);
      var dyOnDevice = arrays.of(dy, type);
      var dLastOnDevice = state ? state(arrays, dLast) : null;
      Results first = results(plan, stream, arrays, inputs, dyOnDevice, dLastOnDevice);
      Results second = results(plan, stream, arrays, inputs, dyOnDevice, dLastOnDevice);
      var errors = new LinkedHashMap<String, Double>();
      errors.put("y", error(first.y, reference.y));
      errors.put("last", error(first.last, reference.last));
      errors.put("dwx", error(first.dwx, reference.dwx));
      errors.put("dr", error(first.dr, reference.dr));
      errors.put("dbias", error(first.dbias, reference.dbias));
      errors.put("dInitial", error(first.dInitial, reference.dInitial));
      return new Outcome(plan.variant(), errors, first.equalBits(second));
    }
  }

  private record Results(
      double[] y, double[] last, double[] dwx, double[] dr, double[] dbias, double[] dInitial) {
    boolean equalBits(Results other) {
      return Arrays.equals(y, other.y)
          && Arrays.equals(last, other.last)
          && Arrays.equals(dwx, other.dwx)
          && Arrays.equals(dr, other.dr)
          && Arrays.equals(dbias, other.dbias)
          && Arrays.equals(dInitial, other.dInitial);
    }
  }

  private Results results(
      SlstmPlan plan,
      CudaStream stream,
      GpuArrays arrays,
      SlstmInputs inputs,
      DeviceSpan dy,
      @Nullable SlstmState dLast) {
    int states = (int) shape.stateValues();
    DeviceMemory y = arrays.poisoned(shape.outputValues() * type.bytes());
    DeviceMemory saved = arrays.poisoned(plan.savedBytes());
    DeviceMemory workspace = arrays.poisoned(plan.workspaceBytes());
    DeviceMemory dwx = arrays.poisoned(shape.gateValues() * type.bytes());
    DeviceMemory dr = arrays.poisoned(shape.kernelValues() * Float.BYTES);
    DeviceMemory dbias = arrays.poisoned(shape.biasValues() * Float.BYTES);
    DeviceMemory[] last = parts(arrays, states);
    DeviceMemory[] dInitial = parts(arrays, states);
    plan.forward(stream, inputs, y.span(), state(last), saved.span(), workspace.span());
    plan.backward(
        stream,
        inputs,
        y.span(),
        saved.span(),
        dy,
        dLast,
        new SlstmGradients(dwx.span(), dr.span(), dbias.span(), state(dInitial)),
        workspace.span());
    stream.synchronize();
    return new Results(
        arrays.read(y, (int) shape.outputValues(), type),
        joined(arrays, last, states),
        arrays.read(dwx, (int) shape.gateValues(), type),
        arrays.read(dr, (int) shape.kernelValues(), ElementType.FLOAT32),
        arrays.read(dbias, (int) shape.biasValues(), ElementType.FLOAT32),
        joined(arrays, dInitial, states));
  }

  private static DeviceMemory[] parts(GpuArrays arrays, int states) {
    var parts = new DeviceMemory[4];
    Arrays.setAll(parts, _ -> arrays.poisoned((long) states * Float.BYTES));
    return parts;
  }

  /// The four parts of a state that lie in one array.
  private static SlstmState state(GpuArrays arrays, double[] all) {
    int n = all.length / 4;
    var parts = new DeviceSpan[4];
    for (int i = 0; i < 4; i++) {
      parts[i] = arrays.of(Arrays.copyOfRange(all, i * n, (i + 1) * n), ElementType.FLOAT32);
    }
    return new SlstmState(parts[0], parts[1], parts[2], parts[3]);
  }

  private static SlstmState state(DeviceMemory[] parts) {
    return new SlstmState(parts[0].span(), parts[1].span(), parts[2].span(), parts[3].span());
  }

  private static double[] joined(GpuArrays arrays, DeviceMemory[] parts, int states) {
    var all = new double[4 * states];
    for (int i = 0; i < 4; i++) {
      System.arraycopy(
          arrays.read(parts[i], states, ElementType.FLOAT32), 0, all, i * states, states);
    }
    return all;
  }

  /// Half of the sequences warm, half fresh: the rule for n = 0 is one for each unit.
  private double[] initial(Random random, int states) {
    var all = new double[4 * states];
    if (state) {
      for (int i = 0; i < states; i++) {
        if (i / shape.units() % 2 == 0) {
          all[i] = (float) (0.5 * random.nextGaussian());
          all[states + i] = (float) random.nextGaussian();
          all[2 * states + i] = (float) (1 + random.nextDouble());
          all[3 * states + i] = (float) random.nextGaussian();
        }
      }
    }
    return all;
  }

  /// Padding at the end of some sequences, at the beginning or within others, and starts anywhere.
  private void mask(Random random, boolean[] valid, boolean[] starts) {
    int length = shape.length();
    for (int b = 0; b < shape.batch(); b++) {
      int tokens = 1 + random.nextInt(length);
      for (int t = 0; t < length; t++) {
        valid[b * length + t] =
            switch (b % 3) {
              case 0 -> t < tokens;
              case 1 -> t >= length - tokens;
              default -> random.nextInt(4) > 0;
            };
        starts[b * length + t] = random.nextInt(8) == 0 && valid[b * length + t];
      }
    }
  }

  private static double[] gaussian(Random random, int count, double scale, ElementType type) {
    var values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] = GpuArrays.rounded(scale * random.nextGaussian(), type);
    }
    return values;
  }

  private static double error(double[] out, double[] reference) {
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < reference.length; i++) {
      difference += (out[i] - reference[i]) * (out[i] - reference[i]);
      norm += reference[i] * reference[i];
    }
    return norm == 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
  }
}
