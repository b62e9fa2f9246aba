package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import java.util.Map;

/// The tensors of a Large-family model (docs/math.md 5), under Hugging Face's names.
record LargeTensors(LargeModelConfig config) {
  static final String EMBEDDING = "backbone.embeddings.weight";
  static final String OFFICIAL_EMBEDDING = "embedding.weight";
  static final String BACKBONE = "backbone.";

  /// The name of a tensor that only stacked weights have.
  static final String FUSED_PROJECTION = "backbone.blocks.0.mlstm_layer.qkv_opreact.weight";

  /// The last norm; Hugging Face's library never has its bias, the official code does by
  /// `use_bias`.
  static final String OUT_NORM = "backbone.out_norm";

  static final String HEAD = "lm_head.weight";

  /// @param to shape by name
  void addTo(Map<String, long[]> to) {
    long dim = config.embeddingDim();
    to.put(EMBEDDING, new long[] {config.vocabSize(), dim});
    for (int i = 0; i < config.numBlocks(); i++) {
      addBlock("backbone.blocks." + i + ".", to);
    }
    if (config.addOutNorm()) {
      addNorm(OUT_NORM, dim, to);
    }
    to.put(HEAD, new long[] {config.vocabSize(), dim});
  }

  private void addBlock(String block, Map<String, long[]> to) {
    long dim = config.embeddingDim();
    long qk = config.qkDim();
    long v = config.vDim();
    long heads = config.numHeads();
    long up = config.ffnDim();
    boolean fused = config.weightMode() == WeightMode.FUSED;
    String layer = block + "mlstm_layer.";
    String ffn = block + "ffn.";
    addNorm(block + "norm_mlstm", dim, to);
    if (fused) {
      addLinear(layer + "qkv_opreact", 2 * qk + 2 * v, dim, config.useBias(), to);
      addLinear(layer + "ifgate_preact", 2 * heads, dim, true, to);
    } else {
      addLinear(layer + "q", qk, dim, config.useBias(), to);
      addLinear(layer + "k", qk, dim, config.useBias(), to);
      addLinear(layer + "v", v, dim, config.useBias(), to);
      addLinear(layer + "ogate_preact", v, dim, config.useBias(), to);
      addLinear(layer + "igate_preact", heads, dim, true, to);
      addLinear(layer + "fgate_preact", heads, dim, true, to);
    }
    addNorm(layer + "multihead_norm", v, to);
    addLinear(layer + "out_proj", dim, v, config.useBias(), to);
    addNorm(block + "norm_ffn", dim, to);
    if (fused) {
      addLinear(ffn + "proj_up_gate_z", 2 * up, dim, config.useBias(), to);
    } else {
      addLinear(ffn + "proj_up_gate", up, dim, config.useBias(), to);
      addLinear(ffn + "proj_up", up, dim, config.useBias(), to);
    }
    addLinear(ffn + "proj_down", dim, up, config.useBias(), to);
  }

  private void addNorm(String name, long width, Map<String, long[]> to) {
    to.put(name + ".weight", new long[] {width});
    if (config.useBias()) {
      to.put(name + ".bias", new long[] {width});
    }
  }

  private static void addLinear(
      String name, long out, long in, boolean bias, Map<String, long[]> to) {
    to.put(name + ".weight", new long[] {out, in});
    if (bias) {
      to.put(name + ".bias", new long[] {out});
    }
  }
}
