package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// The calculations of [Diagnostics]: one for each kind of cell, layer, block and model.
///
/// Sequences have odd lengths, one of them is padded, and one has a document that starts within it.
final class DiagnosticCases {
  static final int BATCH = 2;
  static final int LENGTH = 21;
  static final int DIM = 16;
  private static final int HEADS = 2;
  static final int VOCABULARY = 24;

  /// Eight bits of mantissa, several roundings one after the other.
  private static final double BFLOAT16 = 5e-2;

  private DiagnosticCases() {}

  static List<DiagnosticCase> all() {
    PaperModelConfig paper =
        PaperModelConfig.of(VOCABULARY, BlockStackConfig.of(2, DIM, List.of(1)));
    LargeModelConfig large = LargeModelConfig.of(VOCABULARY, DIM, 2, HEADS);
    Predicate<DiagnosticSetting> any = _ -> true;
    Predicate<DiagnosticSetting> notFused = setting -> !setting.isFused();
    var cases =
        List.of(
            of("mLSTM cell", any, DiagnosticCases::mlstmCell),
            of("sLSTM cell", any, DiagnosticCases::slstmCell),
            bfloat16Chunks(),
            of("Mlstm layer", any, setting -> mlstmLayer(setting, false)),
            of("Mlstm layer, step by step", any, setting -> mlstmLayer(setting, true)),
            of("Slstm layer", any, setting -> slstmLayer(setting, false)),
            of("Slstm layer, step by step", any, setting -> slstmLayer(setting, true)),
            of("mLSTM block", any, setting -> paperBlock(setting, List.of(), false)),
            of("sLSTM block", any, setting -> paperBlock(setting, List.of(0), false)),
            of("block of the Large family", any, DiagnosticCases::largeBlock),
            of(
                "both blocks, recomputed",
                notFused,
                setting -> paperBlock(setting, List.of(1), true)),
            of(
                "language model, paper",
                any,
                setting -> ModelDiagnosticCases.languageModel(setting, paper)),
            of(
                "language model, Large",
                any,
                setting -> ModelDiagnosticCases.languageModel(setting, large)),
            of("sequence model", any, ModelDiagnosticCases::sequenceModel),
            of(
                "training, three steps",
                any,
                setting -> ModelDiagnosticCases.training(setting, paper, false)),
            of(
                "training, recomputed",
                notFused,
                setting -> ModelDiagnosticCases.training(setting, large, true)),
            of("AdamW", any, ModelDiagnosticCases::adamW));
    return Stream.concat(cases.stream(), DecodeDiagnosticCases.all().stream()).toList();
  }

  private record Simple(
      String name,
      Predicate<DiagnosticSetting> where,
      Function<DiagnosticSetting, DiagnosticCase.Graph> builder)
      implements DiagnosticCase {
    @Override
    public boolean runsIn(DiagnosticSetting setting) {
      return where.test(setting);
    }

    @Override
    public Graph build(DiagnosticSetting setting) {
      return builder.apply(setting);
    }
  }

  static DiagnosticCase of(
      String name,
      Predicate<DiagnosticSetting> where,
      Function<DiagnosticSetting, DiagnosticCase.Graph> builder) {
    return new Simple(name, where, builder);
  }

  static SequenceLayout layout(DiagnosticSetting setting) {
    Tensor lengths = Tensors.of(new int[] {LENGTH, LENGTH - 4}, BATCH);
    boolean[] starts = new boolean[BATCH * LENGTH];
    starts[7] = true;
    return new SequenceLayout(
            SequenceLayout.ofLengths(lengths, LENGTH).valid(), Tensors.of(starts, BATCH, LENGTH))
        .on(Torch.device(setting.device()));
  }

  private static ExecutionMode execution(DiagnosticSetting setting) {
    var execution = new ExecutionMode();
    execution.backend(setting.backend());
    return execution;
  }

  static Map<String, Tensor> named(List<String> names, List<Tensor> tensors) {
    var all = new LinkedHashMap<String, Tensor>();
    for (int i = 0; i < names.size(); i++) {
      all.put(names.get(i), tensors.get(i));
    }
    return all;
  }

  // ---- cells

  private static DiagnosticCase.Graph mlstmCell(DiagnosticSetting setting) {
    int width = 6;
    Tensor q = setting.leaf(1, BATCH, LENGTH, (long) HEADS * width);
    Tensor k = setting.leaf(1, BATCH, LENGTH, (long) HEADS * width);
    Tensor v = setting.leaf(1, BATCH, LENGTH, (long) HEADS * width);
    Tensor i = setting.leaf(1, BATCH, LENGTH, HEADS);
    Tensor f = setting.leaf(2, BATCH, LENGTH, HEADS);
    Tensor c0 = setting.leaf(1, BATCH, HEADS, width, width);
    Tensor n0 = setting.leaf(1, BATCH, HEADS, width);
    Tensor m0 = setting.normal(1, BATCH, HEADS);
    ExecutionMode run = execution(setting);
    SequenceLayout layout = layout(setting);
    return new DiagnosticCase.Graph(
        named(List.of("q", "k", "v", "i", "f", "c0", "n0"), List.of(q, k, v, i, f, c0, n0)),
        () -> {
          var last = new MlstmCell.State(c0, n0, m0);
          MlstmCell.Output out = run.mlstm(q, k, v, i, f, last, layout);
          return named(
              List.of("h", "state c", "state n"),
              List.of(layout.padded(out.h(), 1), out.state().c(), out.state().n()));
        },
        () -> {});
  }

  private static DiagnosticCase.Graph slstmCell(DiagnosticSetting setting) {
    int width = 6;
    Tensor wx = setting.leaf(1, BATCH, LENGTH, 4, HEADS, width);
    Tensor r = setting.leaf(0.3, HEADS, width, 4, width);
    Tensor b = setting.leaf(1, HEADS, 4, width);
    ExecutionMode run = execution(setting);
    SequenceLayout layout = layout(setting);
    return new DiagnosticCase.Graph(
        named(List.of("wx", "r", "b"), List.of(wx, r, b)),
        () -> {
          var zero = SlstmCell.State.zero(BATCH, HEADS, width, wx);
          SlstmCell.Output out = run.slstm(SlstmCell.PAPER, wx, r, b, zero, layout);
          return named(
              List.of("y", "state c", "state n"),
              List.of(layout.padded(out.y(), 1), out.state().c(), out.state().n()));
        },
        () -> {});
  }

  /// The chunkwise form on queries, keys and values in bfloat16; the reference has the same numbers
  /// in float64.
  private static DiagnosticCase bfloat16Chunks() {
    return new DiagnosticCase() {
      @Override
      public String name() {
        return "mLSTM cell, bfloat16";
      }

      @Override
      public double allowed() {
        return BFLOAT16;
      }

      @Override
      public boolean runsIn(DiagnosticSetting setting) {
        return !setting.isFused();
      }

      @Override
      public Graph build(DiagnosticSetting setting) {
        ScalarType type =
            setting.type() == ScalarType.Double ? ScalarType.Double : ScalarType.BFloat16;
        var qkv = new ArrayList<Tensor>();
        for (int part = 0; part < 3; part++) {
          Tensor rounded = setting.normal(1, BATCH, HEADS, LENGTH, 8).to(ScalarType.BFloat16);
          qkv.add(DiagnosticSetting.asLeaf(rounded.to(type)));
        }
        Tensor i = setting.leaf(1, BATCH, HEADS, LENGTH);
        Tensor f = setting.leaf(2, BATCH, HEADS, LENGTH);
        var zero = MlstmCell.State.zero(BATCH, HEADS, 8, 8, i);
        return new Graph(
            named(
                List.of("q", "k", "v", "i", "f"),
                List.of(qkv.get(0), qkv.get(1), qkv.get(2), i, f)),
            () -> {
              MlstmCell.Output out =
                  MlstmCell.chunkwise(
                      qkv.get(0), qkv.get(1), qkv.get(2), i, f, zero, SequenceLayout.FULL, 8);
              return named(List.of("h", "state c"), List.of(out.h(), out.state().c()));
            },
            () -> {});
      }
    };
  }

  // ---- layers

  /// Moves parameters away from the zeros that some begin with.
  static void shake(DiagnosticSetting setting, Parameters parameters) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Tensor parameter : parameters.byName().values()) {
        parameter.add_(setting.normal(0.1, Ops.shape(parameter)));
      }
    }
  }

  static DiagnosticCase.Graph graph(
      DiagnosticSetting setting,
      Parameters parameters,
      Map<String, Tensor> inputs,
      Supplier<Map<String, Tensor>> forward,
      Runnable owner) {
    shake(setting, parameters);
    var leaves = new LinkedHashMap<>(inputs);
    leaves.putAll(parameters.byName());
    return new DiagnosticCase.Graph(leaves, forward, owner);
  }

  private static DiagnosticCase.Graph mlstmLayer(DiagnosticSetting setting, boolean bySteps) {
    var layer = new Mlstm(5, 6, HEADS, 2, 4, setting.parameters());
    layer.backend(setting.backend());
    Tensor x = bySteps ? setting.normal(1, BATCH, 9, 5) : setting.leaf(1, BATCH, LENGTH, 5);
    SequenceLayout layout = layout(setting);
    return graph(
        setting,
        layer.parameters(),
        bySteps ? Map.of() : Map.of("x", x),
        () -> {
          Mlstm.State state = layer.initialState(BATCH);
          if (!bySteps) {
            Mlstm.Output out = layer.forward(x, state, layout);
            return named(
                List.of("y", "state c"),
                List.of(layout.padded(out.output(), 1), out.state().cell().c()));
          }
          var outputs = new ArrayList<Tensor>();
          for (long t = 0; t < x.size(1); t++) {
            Mlstm.Output out = layer.step(x.select(1, t), state);
            state = out.state();
            outputs.add(out.output());
          }
          return Map.of("y", Ops.stackAll(outputs, 1));
        },
        layer::close);
  }

  private static DiagnosticCase.Graph slstmLayer(DiagnosticSetting setting, boolean bySteps) {
    var layer = new Slstm(5, 6, HEADS, 4.0 / 3, 4, setting.parameters());
    layer.backend(setting.backend());
    Tensor x = bySteps ? setting.normal(1, BATCH, 9, 5) : setting.leaf(1, BATCH, LENGTH, 5);
    SequenceLayout layout = layout(setting);
    return graph(
        setting,
        layer.parameters(),
        bySteps ? Map.of() : Map.of("x", x),
        () -> {
          Slstm.State state = layer.initialState(BATCH);
          if (!bySteps) {
            Slstm.Output out = layer.forward(x, state, layout);
            return named(
                List.of("y", "state c"),
                List.of(layout.padded(out.output(), 1), out.state().cell().c()));
          }
          var outputs = new ArrayList<Tensor>();
          for (long t = 0; t < x.size(1); t++) {
            Slstm.Output out = layer.step(x.select(1, t), state);
            state = out.state();
            outputs.add(out.output());
          }
          return Map.of("y", Ops.stackAll(outputs, 1));
        },
        layer::close);
  }

  // ---- blocks

  /// @param slstmAt which blocks are sLSTM; all of one block, or the second of two
  private static DiagnosticCase.Graph paperBlock(
      DiagnosticSetting setting, List<Integer> slstmAt, boolean recompute) {
    var config = BlockStackConfig.of(recompute ? 2 : 1, DIM, slstmAt);
    Parameters parameters = setting.parameters();
    return block(
        setting,
        parameters,
        new BlockStack(parameters.at("stack"), config, new ExecutionMode()),
        recompute);
  }

  private static DiagnosticCase.Graph largeBlock(DiagnosticSetting setting) {
    Parameters parameters = setting.parameters();
    LargeModelConfig config = LargeModelConfig.of(VOCABULARY, DIM, 1, HEADS);
    return block(
        setting,
        parameters,
        new BlockStack(parameters.at("stack"), config, new ExecutionMode()),
        false);
  }

  private static DiagnosticCase.Graph block(
      DiagnosticSetting setting, Parameters parameters, BlockStack stack, boolean recompute) {
    stack.backend(setting.backend());
    stack.activationCheckpointing(recompute);
    Tensor x = setting.leaf(1, BATCH, LENGTH, DIM);
    SequenceLayout layout = layout(setting);
    return graph(
        setting,
        parameters,
        Map.of("x", x),
        () -> {
          BlockStack.Output out = stack.forward(x, stack.initialState(BATCH), layout);
          Tensor c =
              switch (out.state().blocks().getFirst()) {
                case MlstmBlock.State state -> state.cell().c();
                case SlstmBlock.State state -> state.cell().c();
                case LargeBlock.State state -> state.cell().c();
              };
          return named(List.of("y", "state c"), List.of(layout.padded(out.x(), 1), c));
        },
        parameters::close);
  }
}
