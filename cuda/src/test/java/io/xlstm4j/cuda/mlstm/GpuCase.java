package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.GpuArrays;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.DeviceMemory;
import io.xlstm4j.cuda.driver.DeviceSpan;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// One random input of the cell and what came out of the GPU and of the reference for it.
///
/// @param shape sizes
/// @param type element type
/// @param state whether there is an initial state, and gradients into the final one
/// @param masks padding and document starts
record GpuCase(MlstmShape shape, ElementType type, boolean state, Masks masks) {
  /// The masks: of padding, of document starts.
  enum Masks {
    NONE,
    STARTS,
    BOTH
  }

  private static final double EPSILON = 1e-6;
  private static final double LEAST_CONDITION = 0.1;

  /// ‖out − ref‖ / ‖ref‖ of every result, by name, and whether a second run gave the same bits.
  ///
  /// @param errors h without the tokens whose denominator nearly cancels; gradients whose terms
  ///   cancel by the norm of these terms
  /// @param kept share of the tokens of h that count
  record Outcome(Map<String, Double> errors, double kept, boolean sameBits) {
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

  /// The largest error to accept. Products of pairs of bfloat16 values are off by 2^-16 of an
  /// operand; bfloat16 values are themselves off by 2^-9, and the gradient of the forget gate is a
  /// sum of small differences of large numbers.
  double tolerance() {
    return type == ElementType.FLOAT32 ? 2e-4 : 2e-2;
  }

  Outcome run(CudaContext context, MlstmPlan plan, Random random) {
    double[][] inputs = {
      gaussian(random, shape.qkValues(), 1, 0, type),
      gaussian(random, shape.qkValues(), 1, 0, type),
      gaussian(random, shape.vValues(), 1, 0, type),
      gaussian(random, shape.gateValues(), 2, 0, ElementType.FLOAT32),
      gaussian(random, shape.gateValues(), 2, 3, ElementType.FLOAT32)
    };
    double[] dh = gaussian(random, shape.vValues(), 1, 0, type);
    double[][] initial = state(random);
    double[][] dLast = state(random);
    boolean[] valid = new boolean[shape.positions()];
    boolean[] starts = new boolean[shape.positions()];
    Arrays.fill(valid, true);
    if (masks != Masks.NONE) {
      mask(random, valid, starts);
    }
    var reference = new MlstmReference(shape, EPSILON, inputs, initial, valid, starts);
    spoilPadding(valid, inputs, dh);
    avoidKinks(reference, dh);
    reference.backward(dh, dLast[0], dLast[1]);
    try (var stream = context.newStream();
        var arrays = new GpuArrays(context, stream)) {
      var onDevice =
          new MlstmInputs(
              arrays.of(inputs[0], type),
              arrays.of(inputs[1], type),
              arrays.of(inputs[2], type),
              arrays.of(inputs[3], ElementType.FLOAT32),
              arrays.of(inputs[4], ElementType.FLOAT32),
              state
                  ? new MlstmState(
                      arrays.of(initial[0], ElementType.FLOAT32),
                      arrays.of(initial[1], ElementType.FLOAT32),
                      arrays.of(initial[2], ElementType.FLOAT32))
                  : null,
              masks == Masks.BOTH ? arrays.of(valid) : null,
              masks == Masks.NONE ? null : arrays.of(starts));
      var dhOnDevice = arrays.of(dh, type);
      var dLastOnDevice =
          state
              ? new MlstmStateGradient(
                  arrays.of(dLast[0], ElementType.FLOAT32),
                  arrays.of(dLast[1], ElementType.FLOAT32))
              : null;
      Map<String, double[]> first =
          results(plan, stream, arrays, onDevice, dhOnDevice, dLastOnDevice);
      Map<String, double[]> second =
          results(plan, stream, arrays, onDevice, dhOnDevice, dLastOnDevice);
      var errors = new LinkedHashMap<String, Double>();
      boolean same = true;
      Map<String, double[]> expected = expected(reference);
      int kept = 0;
      for (int i = 0; i < reference.conditions.length; i++) {
        if (counts(reference, i)) {
          kept++;
        } else {
          Arrays.fill(reference.h, i * shape.vDim(), (i + 1) * shape.vDim(), 0);
          double[] h = Objects.requireNonNull(first.get("h"));
          double[] other = Objects.requireNonNull(second.get("h"));
          Arrays.fill(h, i * shape.vDim(), (i + 1) * shape.vDim(), 0);
          Arrays.fill(other, i * shape.vDim(), (i + 1) * shape.vDim(), 0);
        }
      }
      Map<String, double[]> measures = measures(reference);
      for (var entry : first.entrySet()) {
        String name = entry.getKey();
        double[] right = Objects.requireNonNull(expected.get(name));
        errors.put(name, error(entry.getValue(), right, measures.getOrDefault(name, right)));
        same &= Arrays.equals(entry.getValue(), second.get(entry.getKey()));
      }
      return new Outcome(errors, kept / (double) reference.conditions.length, same);
    }
  }

  /// What errors are compared with where it is not the result itself: terms that cancel in it. With
  /// a single token, for example, h does not depend on q, and dq is all rounding.
  private static Map<String, double[]> measures(MlstmReference reference) {
    double[] ofGates = reference.gateTerms();
    return Map.of(
        "dq", reference.dqTerms,
        "dk", reference.dkTerms,
        "dn0", reference.dN0Terms,
        "di", ofGates,
        "df", ofGates);
  }

  private static Map<String, double[]> expected(MlstmReference reference) {
    return Map.ofEntries(
        Map.entry("h", reference.h),
        Map.entry("C", reference.lastC),
        Map.entry("n", reference.lastN),
        Map.entry("m", reference.lastM),
        Map.entry("dq", reference.dq),
        Map.entry("dk", reference.dk),
        Map.entry("dv", reference.dv),
        Map.entry("di", reference.digate),
        Map.entry("df", reference.dfgate),
        Map.entry("dC0", reference.dC0),
        Map.entry("dn0", reference.dN0));
  }

  private Map<String, double[]> results(
      MlstmPlan plan,
      CudaStream stream,
      GpuArrays arrays,
      MlstmInputs inputs,
      DeviceSpan dh,
      @Nullable MlstmStateGradient dLast) {
    DeviceMemory saved = arrays.poisoned(plan.savedBytes());
    DeviceMemory workspace = arrays.poisoned(plan.workspaceBytes());
    DeviceMemory h = arrays.poisoned(shape.vValues() * type.bytes());
    DeviceMemory c = arrays.poisoned(shape.cValues() * Float.BYTES);
    DeviceMemory n = arrays.poisoned(shape.nValues() * Float.BYTES);
    DeviceMemory m = arrays.poisoned(shape.mValues() * Float.BYTES);
    DeviceMemory dq = arrays.poisoned(shape.qkValues() * type.bytes());
    DeviceMemory dk = arrays.poisoned(shape.qkValues() * type.bytes());
    DeviceMemory dv = arrays.poisoned(shape.vValues() * type.bytes());
    DeviceMemory di = arrays.poisoned(shape.gateValues() * Float.BYTES);
    DeviceMemory df = arrays.poisoned(shape.gateValues() * Float.BYTES);
    DeviceMemory dC0 = arrays.poisoned(shape.cValues() * Float.BYTES);
    DeviceMemory dN0 = arrays.poisoned(shape.nValues() * Float.BYTES);
    plan.forward(
        stream,
        inputs,
        h.span(),
        new MlstmState(c.span(), n.span(), m.span()),
        saved.span(),
        workspace.span());
    workspace.fill(stream, (byte) 0xFF);
    plan.backward(
        stream,
        inputs,
        h.span(),
        saved.span(),
        dh,
        dLast,
        new MlstmGradients(
            dq.span(),
            dk.span(),
            dv.span(),
            di.span(),
            df.span(),
            new MlstmStateGradient(dC0.span(), dN0.span())),
        workspace.span());
    stream.synchronize();
    var all = new LinkedHashMap<String, double[]>();
    all.put("h", arrays.read(h, (int) shape.vValues(), type));
    all.put("C", arrays.read(c, (int) shape.cValues(), ElementType.FLOAT32));
    all.put("n", arrays.read(n, (int) shape.nValues(), ElementType.FLOAT32));
    all.put("m", arrays.read(m, (int) shape.mValues(), ElementType.FLOAT32));
    all.put("dq", arrays.read(dq, (int) shape.qkValues(), type));
    all.put("dk", arrays.read(dk, (int) shape.qkValues(), type));
    all.put("dv", arrays.read(dv, (int) shape.vValues(), type));
    all.put("di", arrays.read(di, (int) shape.gateValues(), ElementType.FLOAT32));
    all.put("df", arrays.read(df, (int) shape.gateValues(), ElementType.FLOAT32));
    all.put("dC0", arrays.read(dC0, (int) shape.cValues(), ElementType.FLOAT32));
    all.put("dn0", arrays.read(dN0, (int) shape.nValues(), ElementType.FLOAT32));
    return all;
  }

  private double[][] state(Random random) {
    double scale = state ? 1 : 0;
    return new double[][] {
      gaussian(random, shape.cValues(), scale, 0, ElementType.FLOAT32),
      gaussian(random, shape.nValues(), scale, 0, ElementType.FLOAT32),
      gaussian(random, shape.mValues(), scale, 0, ElementType.FLOAT32)
    };
  }

  /// Padding at the end of some sequences, at the beginning or within others, and starts anywhere.
  private void mask(Random random, boolean[] valid, boolean[] starts) {
    int length = shape.length();
    for (int b = 0; b < shape.batch(); b++) {
      int tokens = 1 + random.nextInt(length);
      int rarely = 8 << random.nextInt(5);
      for (int t = 0; t < length; t++) {
        valid[b * length + t] =
            masks == Masks.STARTS
                || switch (b % 3) {
                  case 0 -> t < tokens;
                  case 1 -> t >= length - tokens;
                  default -> random.nextInt(4) > 0;
                };
        starts[b * length + t] = random.nextInt(rarely) == 0;
      }
    }
  }

  /// Values at padding must have no effect.
  private void spoilPadding(boolean[] valid, double[][] inputs, double[] dh) {
    double[][] all = {inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], dh};
    for (double[] values : all) {
      int width = values.length / valid.length;
      for (int i = 0; i < values.length; i++) {
        if (!valid[i / width]) {
          values[i] = Double.NaN;
        }
      }
    }
  }

  /// Whether the result for a token says something about the kernels: its denominator is not a
  /// small rest of large terms, which multiplies all rounding errors.
  private boolean counts(MlstmReference reference, int token) {
    return !(reference.conditions[token] < LEAST_CONDITION / Math.sqrt(shape.qkDim()));
  }

  /// The gradient jumps where |q . n| meets its floor, and rounding decides which side a token is
  /// on: no gradient comes from tokens that are too near, nor from those that do not count.
  private void avoidKinks(MlstmReference reference, double[] dh) {
    double near = type == ElementType.FLOAT32 ? 1e-3 : 3e-2;
    for (int i = 0; i < dh.length; i++) {
      int token = i / shape.vDim();
      boolean kink = Math.abs(reference.margins[token]) < near;
      if ((kink || !counts(reference, token)) && !Double.isNaN(dh[i])) {
        dh[i] = 0;
      }
    }
  }

  private static double[] gaussian(
      Random random, long count, double scale, double mean, ElementType type) {
    var values = new double[Math.toIntExact(count)];
    for (int i = 0; i < values.length; i++) {
      values[i] = GpuArrays.rounded(mean + scale * random.nextGaussian(), type);
    }
    return values;
  }

  private static double error(double[] out, double[] reference, double[] measure) {
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < reference.length; i++) {
      difference += (out[i] - reference[i]) * (out[i] - reference[i]);
      norm += measure[i] * measure[i];
    }
    return norm == 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
  }
}
