package io.xlstm4j.torch;

import io.xlstm4j.core.safetensors.BFloat16;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.StoredLinearKernel.Part;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Tensor;

/// The calculations of [Diagnostics] for the kernels that compute tokens without libtorch: products
/// with stored weights of each type, and single steps of both cells. Forward only.
final class DecodeDiagnosticCases {
  private static final int TOKENS = 3;
  private static final int COLUMNS = 160;
  private static final int ROWS = 70;
  private static final int GROUP = 64;
  private static final int HEADS = 2;
  private static final int QK = 20;
  private static final int V = 35;
  private static final int UNITS = 37;

  private DecodeDiagnosticCases() {}

  static List<DiagnosticCase> all() {
    return List.of(
        of("decode, product float32", setting -> product(setting, WeightType.F32)),
        of("decode, product bfloat16", setting -> product(setting, WeightType.BF16)),
        of("decode, product int8", setting -> product(setting, WeightType.INT8)),
        of("decode, mLSTM step", DecodeDiagnosticCases::mlstmStep),
        of("decode, sLSTM step", DecodeDiagnosticCases::slstmStep));
  }

  private static DiagnosticCase of(
      String name, Function<DiagnosticSetting, DiagnosticCase.Graph> builder) {
    return DiagnosticCases.of(name, DiagnosticSetting::isFused, builder);
  }

  private static DiagnosticCase.Graph graph(Supplier<Map<String, Tensor>> forward) {
    return new DiagnosticCase.Graph(Map.of(), forward, () -> {});
  }

  /// Kernels as they are once they are warm: those of a new process begin in plain loops.
  private static <T> T withKernels(DiagnosticSetting setting, Function<Kernels, T> work) {
    Kernels kernels = Kernels.with(1, setting.kernels().vectorized());
    try {
      return work.apply(kernels);
    } finally {
      kernels.threads().close();
    }
  }

  private static MemorySegment memory(Arena arena, float[] values) {
    MemorySegment memory = arena.allocate((long) values.length * Float.BYTES, 64);
    MemorySegment.copy(values, 0, memory, ValueLayout.JAVA_FLOAT, 0, values.length);
    return memory;
  }

  private static float[] floats(MemorySegment memory, long from, int count) {
    float[] values = new float[count];
    MemorySegment.copy(memory, ValueLayout.JAVA_FLOAT, from * Float.BYTES, values, 0, count);
    return values;
  }

  private static DiagnosticCase.Graph product(DiagnosticSetting setting, WeightType type) {
    float[] drawn = Tensors.floats(setting.normal(0.1, ROWS, COLUMNS));
    float[] x = Tensors.floats(setting.normal(1, TOKENS, COLUMNS));
    float[] bias = Tensors.floats(setting.normal(1, ROWS));
    return graph(() -> {
      try (Arena arena = Arena.ofConfined()) {
        float[] exact = drawn.clone(); // the numbers that the stored ones stand for
        WeightMatrix stored = stored(arena, type, exact);
        if (!setting.isFused()) {
          Tensor y =
              Tensors.of(widened(x), TOKENS, COLUMNS)
                  .matmul(Tensors.of(widened(exact), ROWS, COLUMNS).t())
                  .add(Tensors.of(widened(bias), ROWS));
          return Map.of("y", y);
        }
        MemorySegment y = arena.allocate((long) TOKENS * ROWS * Float.BYTES, 64);
        var part =
            new Part(
                stored,
                memory(arena, bias),
                new MemoryMatrix(memory(arena, x), 0, COLUMNS),
                new MemoryMatrix(y, 0, ROWS),
                false);
        withKernels(
            setting,
            kernels -> {
              kernels.storedLinear().run(TOKENS, part);
              return y;
            });
        return Map.of("y", Tensors.of(floats(y, 0, TOKENS * ROWS), TOKENS, ROWS));
      }
    });
  }

  /// Stores a matrix as a file does.
  ///
  /// @param values rounded to what is stored
  private static WeightMatrix stored(Arena arena, WeightType type, float[] values) {
    MemorySegment data = arena.allocate((long) values.length * type.bytes(), 64);
    if (type == WeightType.F32) {
      return WeightMatrix.of(type, ROWS, COLUMNS, memory(arena, values));
    }
    if (type == WeightType.BF16) {
      for (int i = 0; i < values.length; i++) {
        short bits = BFloat16.fromFloat(values[i]);
        data.setAtIndex(ValueLayout.JAVA_SHORT, i, bits);
        values[i] = BFloat16.toFloat(bits);
      }
      return WeightMatrix.of(type, ROWS, COLUMNS, data);
    }
    int groups = Math.ceilDiv(COLUMNS, GROUP);
    float[] scales = new float[ROWS * groups];
    for (int i = 0; i < values.length; i++) {
      int group = i / COLUMNS * groups + i % COLUMNS / GROUP;
      scales[group] = 0.003f * (1 + group % 3);
      byte whole = (byte) Math.clamp(Math.round(values[i] / scales[group]), -127, 127);
      data.set(ValueLayout.JAVA_BYTE, i, whole);
      values[i] = whole * scales[group];
    }
    return new WeightMatrix(type, ROWS, COLUMNS, data, memory(arena, scales), GROUP);
  }

  private static double[] widened(float[] values) {
    double[] wide = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      wide[i] = values[i];
    }
    return wide;
  }

  private static DiagnosticCase.Graph mlstmStep(DiagnosticSetting setting) {
    Tensor q = setting.normal(1, 1, HEADS, QK);
    Tensor k = setting.normal(1, 1, HEADS, QK);
    Tensor v = setting.normal(1, 1, HEADS, V);
    Tensor i = setting.normal(1, 1, HEADS);
    Tensor f = setting.normal(1, 1, HEADS);
    Tensor c0 = setting.normal(1, 1, HEADS, QK, V);
    Tensor n0 = setting.normal(1, 1, HEADS, QK);
    Tensor m0 = setting.normal(1, 1, HEADS);
    return graph(() -> {
      var outputs = new LinkedHashMap<String, Tensor>();
      if (!setting.isFused()) {
        MlstmCell.Output out = MlstmCell.step(q, k, v, i, f, new MlstmCell.State(c0, n0, m0));
        outputs.put("h", out.h());
        outputs.put("state c", out.state().c());
        outputs.put("state n", out.state().n());
        outputs.put("state m", out.state().m());
        return outputs;
      }
      try (Arena arena = Arena.ofConfined()) {
        var cell = new TokenKernels.Mlstm(HEADS, QK, V, MlstmKernel.EPS);
        MemorySegment h = arena.allocate((long) HEADS * V * Float.BYTES, 64);
        var rows =
            new TokenKernels.MlstmOperands(
                row(arena, q),
                row(arena, k),
                row(arena, v),
                row(arena, i),
                row(arena, f),
                new MemoryMatrix(h, 0, HEADS * V));
        MemorySegment state = memory(arena, joined(c0, n0, m0));
        withKernels(
            setting,
            kernels -> {
              for (int head = 0; head < HEADS; head++) {
                kernels.tokens().mlstm(cell, rows, 0, head, state, 0);
              }
              return h;
            });
        int c = HEADS * QK * V;
        outputs.put("h", Tensors.of(floats(h, 0, HEADS * V), 1, HEADS, V));
        outputs.put("state c", Tensors.of(floats(state, 0, c), 1, HEADS, QK, V));
        outputs.put("state n", Tensors.of(floats(state, c, HEADS * QK), 1, HEADS, QK));
        outputs.put("state m", Tensors.of(floats(state, c + HEADS * QK, HEADS), 1, HEADS));
        return outputs;
      }
    });
  }

  private static DiagnosticCase.Graph slstmStep(DiagnosticSetting setting) {
    Tensor gates = setting.normal(1, 1, 1, 4, 1, UNITS);
    Tensor y0 = setting.normal(1, 1, 1, UNITS);
    Tensor c0 = setting.normal(1, 1, 1, UNITS);
    Tensor n0 = setting.normal(1, 1, 1, UNITS).abs();
    Tensor m0 = setting.normal(1, 1, 1, UNITS);
    return graph(() -> {
      var outputs = new LinkedHashMap<String, Tensor>();
      if (!setting.isFused()) {
        Tensor r = Ops.zerosLike(gates, 1, UNITS, 4, UNITS); // the gates have the recurrent part
        Tensor b = Ops.zerosLike(gates, 1, 4, UNITS);
        SlstmCell.State out =
            SlstmCell.PAPER
                .forward(gates, r, b, new SlstmCell.State(y0, c0, n0, m0), SequenceLayout.FULL)
                .state();
        outputs.put("y", out.y());
        outputs.put("state c", out.c());
        outputs.put("state n", out.n());
        outputs.put("state m", out.m());
        return outputs;
      }
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment raw = memory(arena, Tensors.floats(gates));
        MemorySegment state = memory(arena, joined(y0, c0, n0, m0));
        withKernels(
            setting,
            kernels -> {
              kernels.tokens().slstm(new TokenKernels.Slstm(UNITS, false, null), raw, 0, state, 0);
              return state;
            });
        List<String> names = List.of("y", "state c", "state n", "state m");
        for (int part = 0; part < names.size(); part++) {
          float[] values = floats(state, (long) part * UNITS, UNITS);
          outputs.put(names.get(part), Tensors.of(values, 1, 1, UNITS));
        }
        return outputs;
      }
    });
  }

  private static MemoryMatrix row(Arena arena, Tensor x) {
    float[] values = Tensors.floats(x);
    return new MemoryMatrix(memory(arena, values), 0, values.length);
  }

  private static float[] joined(Tensor... parts) {
    int count = 0;
    for (Tensor part : parts) {
      count += (int) part.numel();
    }
    float[] all = new float[count];
    int at = 0;
    for (Tensor part : parts) {
      float[] values = Tensors.floats(part);
      System.arraycopy(values, 0, all, at, values.length);
      at += values.length;
    }
    return all;
  }
}
