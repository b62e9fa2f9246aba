package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// Inputs of one mLSTM call and gradients of its outputs, and what kernels make of them. Positions
/// lie apart by more than they need.
public final class MlstmCase {
  private static final int GAP = 3; // floats between positions

  final MlstmShape shape;
  final Map<String, float[]> values = new LinkedHashMap<>();
  byte @Nullable [] valid;
  byte @Nullable [] starts;
  boolean warm = true;

  MlstmCase(MlstmShape shape) {
    this.shape = shape;
    for (String name :
        new String[] {"q", "k", "v", "i", "f", "h", "C", "n", "m", "dh", "dC", "dn"}) {
      values.put(name, new float[size(name)]);
    }
  }

  static <T> T named(Map<String, T> values, String name) {
    return Objects.requireNonNull(values.get(name), name);
  }

  static MlstmCase random(int batch, int length, int heads, int qkDim, int vDim, long seed) {
    var result = new MlstmCase(new MlstmShape(batch, length, heads, qkDim, vDim));
    var random = new Random(seed);
    result.values.forEach((name, data) -> {
      for (int i = 0; i < data.length; i++) {
        double shift = name.equals("f") ? 2 : 0;
        data[i] = (float) (random.nextGaussian() + shift);
      }
    });
    return result;
  }

  float[] get(String name) {
    return named(values, name);
  }

  /// Of one position, of all heads; 0 for states.
  int width(String name) {
    return switch (name) {
      case "q", "k", "dq", "dk" -> shape.heads() * shape.qkDim();
      case "v", "h", "dv", "dh" -> shape.heads() * shape.vDim();
      case "i", "f", "di", "df" -> shape.heads();
      default -> 0;
    };
  }

  private int size(String name) {
    return switch (name) {
      case "C", "dC" -> (int) shape.floatsOfC();
      case "n", "dn" -> (int) shape.floatsOfN();
      case "m" -> shape.pairs();
      default -> shape.batch() * shape.length() * width(name);
    };
  }

  /// Position `t` of row `b` of all heads.
  int at(String name, int b, int t) {
    return (b * shape.length() + t) * width(name);
  }

  /// Outputs h, C, n, m and gradients dq, dk, dv, di, df, dC, dn.
  Map<String, float[]> run(MlstmKernel kernel) {
    try (Arena arena = Arena.ofShared()) {
      return run(kernel, arena);
    }
  }

  private Map<String, float[]> run(MlstmKernel kernel, Arena arena) {
    var inputs =
        new MlstmInputs(
            rows(arena, "q", get("q")),
            rows(arena, "k", get("k")),
            rows(arena, "v", get("v")),
            rows(arena, "i", get("i")),
            rows(arena, "f", get("f")),
            bytes(arena, valid),
            bytes(arena, starts));
    MlstmState initial =
        warm
            ? new MlstmState(
                floats(arena, get("C")), floats(arena, get("n")), floats(arena, get("m")))
            : null;
    StridedMatrix h = empty(arena, "h");
    var last =
        new MlstmState(space(arena, size("C")), space(arena, size("n")), space(arena, size("m")));
    MemorySegment saved = arena.allocate(kernel.savedBytes(shape), 64);
    kernel.forward(shape, inputs, initial, h, last, saved);

    var gradients =
        new MlstmGradients(
            empty(arena, "q"),
            empty(arena, "k"),
            empty(arena, "v"),
            empty(arena, "i"),
            empty(arena, "f"));
    var dInitial = new MlstmStateGradient(space(arena, size("C")), space(arena, size("n")));
    kernel.backward(
        shape,
        inputs,
        h,
        saved,
        rows(arena, "h", get("dh")),
        new MlstmStateGradient(floats(arena, get("dC")), floats(arena, get("dn"))),
        gradients,
        dInitial);

    var result = new LinkedHashMap<String, float[]>();
    result.put("h", dense("h", h));
    result.put("C", last.c().toArray(ValueLayout.JAVA_FLOAT));
    result.put("n", last.n().toArray(ValueLayout.JAVA_FLOAT));
    result.put("m", last.m().toArray(ValueLayout.JAVA_FLOAT));
    result.put("dq", dense("q", gradients.q()));
    result.put("dk", dense("k", gradients.k()));
    result.put("dv", dense("v", gradients.v()));
    result.put("di", dense("i", gradients.igate()));
    result.put("df", dense("f", gradients.fgate()));
    result.put("dC", dInitial.c().toArray(ValueLayout.JAVA_FLOAT));
    result.put("dn", dInitial.n().toArray(ValueLayout.JAVA_FLOAT));
    return result;
  }

  private StridedMatrix empty(Arena arena, String name) {
    return rows(arena, name, new float[size(name)]);
  }

  private StridedMatrix rows(Arena arena, String name, float[] data) {
    int stride = width(name) + GAP;
    int positions = shape.batch() * shape.length();
    MemorySegment memory = space(arena, positions * stride);
    for (int p = 0; p < positions; p++) {
      MemorySegment.copy(
          data,
          p * width(name),
          memory,
          ValueLayout.JAVA_FLOAT,
          (long) p * stride * Float.BYTES,
          width(name));
    }
    return new StridedMatrix(memory, stride);
  }

  private float[] dense(String name, StridedMatrix rows) {
    float[] result = new float[size(name)];
    for (int p = 0; p < shape.batch() * shape.length(); p++) {
      MemorySegment.copy(
          rows.data(),
          ValueLayout.JAVA_FLOAT,
          (long) p * rows.stride() * Float.BYTES,
          result,
          p * width(name),
          width(name));
    }
    return result;
  }

  private static MemorySegment space(Arena arena, int floats) {
    MemorySegment memory = arena.allocate((long) floats * Float.BYTES, 64);
    for (int i = 0; i < floats; i++) {
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.NaN); // what is not written shows
    }
    return memory;
  }

  private static MemorySegment floats(Arena arena, float[] data) {
    return arena.allocateFrom(ValueLayout.JAVA_FLOAT, data);
  }

  private static @Nullable MemorySegment bytes(Arena arena, byte @Nullable [] data) {
    return data == null ? null : arena.allocateFrom(ValueLayout.JAVA_BYTE, data);
  }

  /// Every tensor within `tolerance` times its largest expected element.
  public static void assertClose(
      Map<String, float[]> actual, Map<String, float[]> expected, double tolerance) {
    expected.forEach((name, data) -> assertClose(name, named(actual, name), data, tolerance));
  }

  public static void assertClose(String name, float[] actual, float[] expected, double tolerance) {
    assertThat(actual).as(name).hasSameSizeAs(expected);
    double largest = 1e-30;
    for (float x : expected) {
      largest = Math.max(largest, Math.abs(x));
    }
    for (int i = 0; i < expected.length; i++) {
      double error = Math.abs((double) actual[i] - expected[i]) / largest;
      assertThat(error <= tolerance)
          .as(
              "%s[%d]: expected %s, got %s, off by %.2e of the largest",
              name, i, expected[i], actual[i], error)
          .isTrue();
    }
  }
}
