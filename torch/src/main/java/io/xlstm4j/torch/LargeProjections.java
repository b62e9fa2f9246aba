package io.xlstm4j.torch;

import io.xlstm4j.core.config.LargeModelConfig;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The input projections of an mLSTM layer of the Large family (docs/math.md), with matrices that
/// are stored apart or stacked. A seed gives both the same numbers.
sealed interface LargeProjections {
  /// @param x `(B, S, D)`, which the input and forget gates read
  /// @param in the same, in the type that the others compute in
  Projected of(Tensor x, Tensor in);

  /// Rows of q, k, v and o; of i and f; the biases of i and f: each stacked from these parameters.
  List<List<Tensor>> weights();

  /// Queries, keys, values, and the gates before soft cap and activation.
  ///
  /// @param q, k `(B, S, NH DHQK)`
  /// @param v, o `(B, S, NH DHV)`
  /// @param i, f `(B, S, NH)`
  record Projected(Tensor q, Tensor k, Tensor v, Tensor o, Tensor i, Tensor f) {}

  static LargeProjections create(Parameters.Prefix at, LargeModelConfig config) {
    return switch (config.weightMode()) {
      case SINGLE -> Single.create(at, config);
      case FUSED -> Fused.create(at, config);
    };
  }

  /// One matrix each.
  record Single(
      Linear q, Linear k, Linear v, Linear ogatePreact, Linear igatePreact, Linear fgatePreact)
      implements LargeProjections {
    static Single create(Parameters.Prefix at, LargeModelConfig config) {
      long dim = config.embeddingDim();
      Init small = Init.small(dim);
      Init zero = Init.constant(0);
      @Nullable Init bias = config.useBias() ? zero : null;
      return new Single(
          Linear.create(at.at("q"), dim, config.qkDim(), small, bias),
          Linear.create(at.at("k"), dim, config.qkDim(), small, bias),
          Linear.create(at.at("v"), dim, config.vDim(), small, bias),
          Linear.create(at.at("ogate_preact"), dim, config.vDim(), zero, bias),
          Linear.create(at.at("igate_preact"), dim, config.numHeads(), zero, Init.constant(-10)),
          Linear.create(at.at("fgate_preact"), dim, config.numHeads(), zero, Init.linspace(3, 6)));
    }

    @Override
    public Projected of(Tensor x, Tensor in) {
      return new Projected(
          q.forward(in),
          k.forward(in),
          v.forward(in),
          ogatePreact.forward(in),
          igatePreact.forward(x),
          fgatePreact.forward(x));
    }

    @Override
    public List<List<Tensor>> weights() {
      return List.of(
          List.of(q.weight(), k.weight(), v.weight(), ogatePreact.weight()),
          List.of(igatePreact.weight(), fgatePreact.weight()),
          List.of(Ops.present(igatePreact.bias()), Ops.present(fgatePreact.bias())));
    }
  }

  /// Rows of q, k, v and o in one matrix, of i and f in another.
  ///
  /// @param qkDim NH DHQK
  /// @param vDim NH DHV
  /// @param numHeads NH
  record Fused(Linear qkvOpreact, Linear ifgatePreact, long qkDim, long vDim, long numHeads)
      implements LargeProjections {
    static Fused create(Parameters.Prefix at, LargeModelConfig config) {
      long dim = config.embeddingDim();
      long qk = config.qkDim();
      long v = config.vDim();
      long heads = config.numHeads();
      Init small = Init.small(dim);
      Init zero = Init.constant(0);
      return new Fused(
          Linear.create(
              at.at("qkv_opreact"),
              dim,
              2 * qk + 2 * v,
              Init.stacked(List.of(small, small, small, zero), qk, qk, v, v),
              config.useBias() ? zero : null),
          Linear.create(
              at.at("ifgate_preact"),
              dim,
              2 * heads,
              zero,
              Init.stacked(List.of(Init.constant(-10), Init.linspace(3, 6)), heads, heads)),
          qk,
          v,
          heads);
    }

    @Override
    public Projected of(Tensor x, Tensor in) {
      Tensor all = qkvOpreact.forward(in); // (B, S, 2 NH DHQK + 2 NH DHV)
      Tensor gates = ifgatePreact.forward(x); // (B, S, 2 NH)
      return new Projected(
          all.narrow(2, 0, qkDim),
          all.narrow(2, qkDim, qkDim),
          all.narrow(2, 2 * qkDim, vDim),
          all.narrow(2, 2 * qkDim + vDim, vDim),
          gates.narrow(2, 0, numHeads),
          gates.narrow(2, numHeads, numHeads));
    }

    @Override
    public List<List<Tensor>> weights() {
      return List.of(
          List.of(qkvOpreact.weight()),
          List.of(ifgatePreact.weight()),
          List.of(Ops.present(ifgatePreact.bias())));
    }
  }
}
