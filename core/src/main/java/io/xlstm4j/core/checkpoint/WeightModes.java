package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.safetensors.ComposedTensors.Rows;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// The two ways to store projections of one input: apart, or stacked row upon row (docs/math.md
/// 3.9).
final class WeightModes {
  private WeightModes() {}

  /// One matrix of a stack.
  private record Part(String name, long rows) {}

  /// A matrix made of others, top to bottom.
  private record Stack(String name, List<Part> parts) {
    List<Rows> wholeParts(String kind) {
      return parts.stream().map(part -> Rows.all(part.name() + kind)).toList();
    }

    void addCuts(String kind, Map<String, List<Rows>> to) {
      long from = 0;
      for (Part part : parts) {
        to.put(part.name() + kind, List.of(new Rows(name + kind, from, part.rows())));
        from += part.rows();
      }
    }
  }

  /// Maps each tensor of a model in one weight mode to those of the other.
  ///
  /// @param config says which mode the tensors at hand are in
  /// @param to the mode wanted
  /// @param present the names at hand; a tied head may be missing
  /// @return by name, in the order of the modules
  static Map<String, List<Rows>> pieces(
      LargeModelConfig config, WeightMode to, Set<String> present) {
    Map<String, List<Rows>> moved = config.weightMode() == to ? Map.of() : moved(config, to);
    var pieces = new LinkedHashMap<String, List<Rows>>();
    for (String name : ModelTensors.of(config.withWeightMode(to)).keySet()) {
      List<Rows> from = moved.get(name);
      if (from != null) {
        pieces.put(name, from);
      } else if (present.contains(name)) {
        pieces.put(name, List.of(Rows.all(name)));
      }
    }
    return pieces;
  }

  /// By number of the block and never by the order of names, where 10 comes before 2.
  private static Map<String, List<Rows>> moved(LargeModelConfig config, WeightMode to) {
    var moved = new LinkedHashMap<String, List<Rows>>();
    for (int block = 0; block < config.numBlocks(); block++) {
      for (Stack stack : stacks("backbone.blocks." + block + ".", config)) {
        for (String kind : new String[] {".weight", ".bias"}) {
          switch (to) {
            case FUSED -> moved.put(stack.name + kind, stack.wholeParts(kind));
            case SINGLE -> stack.addCuts(kind, moved);
          }
        }
      }
    }
    return moved;
  }

  private static List<Stack> stacks(String block, LargeModelConfig config) {
    String layer = block + "mlstm_layer.";
    String ffn = block + "ffn.";
    return List.of(
        new Stack(
            layer + "qkv_opreact",
            List.of(
                new Part(layer + "q", config.qkDim()),
                new Part(layer + "k", config.qkDim()),
                new Part(layer + "v", config.vDim()),
                new Part(layer + "ogate_preact", config.vDim()))),
        new Stack(
            layer + "ifgate_preact",
            List.of(
                new Part(layer + "igate_preact", config.numHeads()),
                new Part(layer + "fgate_preact", config.numHeads()))),
        new Stack(
            ffn + "proj_up_gate_z",
            List.of(
                new Part(ffn + "proj_up_gate", config.ffnDim()),
                new Part(ffn + "proj_up", config.ffnDim()))));
  }
}
