package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.conv1d;

import io.xlstm4j.core.config.CausalConv1dConfig;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.jspecify.annotations.Nullable;

/// A convolution over time that sees the current and the K-1 earlier tokens (docs/math.md 1.3):
/// `y_t = b + Σ_lag w[K-1-lag] x_{t-lag}`.
///
/// Its state is the last K-1 inputs `(B, K-1, C)`, zeros before the first token.
final class CausalConv1d {
  private final CausalConv1dConfig config;
  private final Tensor weight; // (C, 1, K), or (C, C, K) if channels mix
  private final @Nullable Tensor bias; // (C)

  CausalConv1d(Parameters.Prefix at, CausalConv1dConfig config) {
    this.config = config;
    int channels = config.featureDim();
    int fanIn = config.kernelSize() * (config.channelMixing() ? channels : 1);
    Init init = Init.uniform(1 / Math.sqrt((double) fanIn));
    weight =
        at.create(
            "weight", init, channels, config.channelMixing() ? channels : 1, config.kernelSize());
    bias = config.causalConvBias() ? at.create("bias", init, channels) : null;
  }

  record Output(Tensor y, Tensor tail) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      return List.of(y, tail);
    }
  }

  Tensor weight() {
    return weight;
  }

  @Nullable Tensor bias() {
    return bias;
  }

  /// K, inputs that an output sees.
  int kernelSize() {
    return config.kernelSize();
  }

  boolean isDepthwise() {
    return !config.channelMixing();
  }

  Tensor zeroTail(long batch, Tensor like) {
    return Ops.zerosLike(like, batch, config.kernelSize() - 1, config.featureDim());
  }

  /// @param x `(B, S, C)`
  /// @param tail the K-1 inputs before `x`; read, never written
  Output forward(Tensor x, Tensor tail, SequenceLayout layout) {
    check(x, tail, layout);
    Tensor known = Ops.concat(1, tail, layout.padded(x, 1)); // (B, K-1+S, C)
    @Nullable Tensor documents = documentsWithTail(layout, tail.size(1));
    boolean atOnce = x.is_cuda() && documents == null && isDepthwise();
    Tensor y = atOnce ? atOnce(known) : byTaps(known, documents);
    return new Output(y, tailAfter(known, documents, layout));
  }

  /// As one operation of libtorch's: faster than [#byTaps] on a GPU (cuda/NOTES.md), slower on a
  /// CPU. For channels that do not mix, without documents.
  ///
  /// @param known `(B, K-1+S, C)`
  Tensor atOnce(Tensor known) {
    var optional = bias == null ? new TensorOptional() : new TensorOptional(bias.type_as(known));
    long[] one = {1};
    long[] none = {0};
    return conv1d(
            known.transpose(1, 2),
            weight.type_as(known),
            optional,
            one,
            none,
            one,
            config.featureDim())
        .transpose(1, 2)
        .contiguous();
  }

  /// A product for each input that an output sees.
  Tensor byTaps(Tensor known, @Nullable Tensor documents) {
    int kernelSize = config.kernelSize();
    long length = known.size(1) - kernelSize + 1;
    @Nullable Tensor y = null;
    for (int lag = 0; lag < kernelSize; lag++) {
      Tensor earlier = known.narrow(1, kernelSize - 1 - lag, length); // x_{t-lag}
      if (documents != null && lag > 0) { // what belongs to an earlier document counts as zero
        Tensor same =
            documents
                .narrow(1, kernelSize - 1 - lag, length)
                .eq(documents.narrow(1, kernelSize - 1, length));
        earlier = Ops.whereElse(Ops.column(same), earlier, 0);
      }
      Tensor w = weight.select(2, kernelSize - 1 - lag); // (C, 1) or (C, C)
      Tensor part =
          config.channelMixing() ? Ops.project(earlier, w, null) : earlier.mul(w.squeeze(1));
      y = y == null ? part : y.add(part);
    }
    if (y == null) {
      throw new AssertionError("a convolution has at least one tap");
    }
    return bias == null ? y : y.add(bias);
  }

  /// The last K-1 inputs of each sequence's tokens, those of earlier documents as zeros.
  private Tensor tailAfter(Tensor known, @Nullable Tensor documents, SequenceLayout layout) {
    long kept = config.kernelSize() - 1L;
    long length = known.size(1) - kept;
    if (layout.valid() == null && documents == null) {
      return known.narrow(1, length, kept);
    }
    Tensor tail;
    @Nullable Tensor tailDocuments;
    if (layout.valid() == null) {
      tail = known.narrow(1, length, kept);
      tailDocuments = documents == null ? null : documents.narrow(1, length, kept);
    } else {
      Tensor lengths = layout.valid().sum(1L).unsqueeze(1); // (B, 1)
      Tensor at = lengths.add(Ops.range(kept, known)); // (B, K-1)
      tail = known.gather(1, Ops.column(at).expand(at.size(0), kept, known.size(2)));
      tailDocuments = documents == null ? null : documents.gather(1, at);
    }
    if (tailDocuments == null || kept == 0) {
      return tail;
    }
    Tensor current = tailDocuments.narrow(1, kept - 1, 1); // the document of the last token
    return Ops.whereElse(Ops.column(tailDocuments.eq(current)), tail, 0);
  }

  private static @Nullable Tensor documentsWithTail(SequenceLayout layout, long tailLength) {
    Tensor documents = layout.documents(); // (B, S)
    if (documents == null) {
      return null;
    }
    Tensor before = Ops.zerosLike(documents, documents.size(0), tailLength); // document 0
    return Ops.concat(1, before, documents);
  }

  void check(Tensor x, Tensor tail, SequenceLayout layout) {
    int dim = config.featureDim();
    Ops.expectShape("x", x, "(B, S, C)", -1, -1, dim);
    Ops.expectShape("state conv", tail, "(B, K-1, C)", x.size(0), config.kernelSize() - 1, dim);
    layout.check(x.size(0), x.size(1));
  }
}
