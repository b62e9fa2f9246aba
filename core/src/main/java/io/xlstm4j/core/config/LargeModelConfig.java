package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// A language model of the Large family, the architecture of the released 7B model: blocks of mLSTM
/// and SwiGLU feed-forward, soft caps, RMSNorm (docs/math.md 3.9 and 3.6).
///
/// The official fields that choose among kernels (`chunkwise_kernel`, `sequence_kernel`,
/// `step_kernel`, `mode`, `return_last_states`, `autocast_kernel_dtype`, `inference_state_dtype`)
/// are accepted in files and have no place here: gates and states are float32 or wider always.
///
/// @param vocabSize V
/// @param embeddingDim D
/// @param numBlocks how many residual blocks
/// @param numHeads NH; divides the widths of the queries and of the values
/// @param useBias whether projections and norms have biases; the two gates always have; default
///   false
/// @param qkDimFactor width of all queries as a multiple of D, truncated; default 0.5
/// @param vDimFactor width of all values as a multiple of D, truncated; default 1
/// @param ffnProjFactor width of the feed-forward as a multiple of D, before rounding; default
///   2.667 in `config.json`, 2.6667 in `config.yaml`
/// @param ffnRoundUpToMultipleOf what the width of the feed-forward is a multiple of; default 64
/// @param gateSoftCap bound of the input and forget gate before their activation, by tanh; default
///   15
/// @param outputLogitSoftCap bound of the logits, by tanh; default 30
/// @param addOutNorm whether an RMSNorm follows the last block; default true
/// @param normEps added to the mean square or the variance inside every norm; default 1e-6
/// @param normReductionForceFloat32 whether a norm of half-precision numbers sums in float32;
///   default true
/// @param eps added to the denominator of the cell; always 1e-6
/// @param chunkSize tokens that the official chunkwise form takes at once; kept for round trips,
///   our forms choose their own; default 64
/// @param contextLength tokens of a row in training and evaluation; any length works; no key of the
///   official files; default 256
/// @param weightMode whether projections of one input are stored apart or stacked; default single
/// @param tieWordEmbeddings whether the head shares the embedding matrix; default false
/// @param bosTokenId the token before a text, or null; default null
/// @param eosTokenIds the tokens that end a text, none to all; default none
/// @param padTokenId the token that fills up rows, or null; default null
public record LargeModelConfig(
    int vocabSize,
    int embeddingDim,
    int numBlocks,
    int numHeads,
    boolean useBias,
    double qkDimFactor,
    double vDimFactor,
    double ffnProjFactor,
    int ffnRoundUpToMultipleOf,
    double gateSoftCap,
    double outputLogitSoftCap,
    boolean addOutNorm,
    double normEps,
    boolean normReductionForceFloat32,
    double eps,
    int chunkSize,
    int contextLength,
    WeightMode weightMode,
    boolean tieWordEmbeddings,
    @Nullable Integer bosTokenId,
    List<Integer> eosTokenIds,
    @Nullable Integer padTokenId)
    implements ModelConfig {
  public static final String MODEL_TYPE = "xlstm";

  /// Far more than any model has; a larger number is a damaged file.
  private static final int MAX_BLOCKS = 4096;

  private static final double CELL_EPS = 1e-6;

  /// The storage of the projections of one input.
  public enum WeightMode {
    /// one matrix each
    SINGLE,
    /// q, k, v and o stacked in this order, the gates i and f, the feed-forward's gate and up
    FUSED;

    /// The name in files.
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  public LargeModelConfig {
    Check.positive("vocabSize", vocabSize);
    Check.positive("embeddingDim", embeddingDim);
    Check.positive("numBlocks", numBlocks);
    Check.atMost("numBlocks", numBlocks, MAX_BLOCKS);
    Check.positive("numHeads", numHeads);
    Check.positive("gateSoftCap", gateSoftCap);
    Check.positive("outputLogitSoftCap", outputLogitSoftCap);
    Check.notNegative("normEps", normEps);
    if (eps != CELL_EPS) {
      throw new IllegalArgumentException(
          "eps (" + eps + ") must be " + CELL_EPS + "; the cell is made for no other");
    }
    Check.positive("chunkSize", chunkSize);
    Check.positive("contextLength", contextLength);
    Check.fitsArray("vocabSize", vocabSize, "embeddingDim", embeddingDim, "embedding matrix");
    int qk = width("qkDimFactor", qkDimFactor, embeddingDim);
    int v = width("vDimFactor", vDimFactor, embeddingDim);
    Check.divides("numHeads", numHeads, "query/key width", qk);
    Check.divides("numHeads", numHeads, "value width", v);
    int up = LargeWidth.feedForward(ffnProjFactor, embeddingDim, ffnRoundUpToMultipleOf);
    Check.fitsArray(
        "all projections", 2L * qk + 2L * v, "embeddingDim", embeddingDim, "mLSTM projections");
    Check.fitsArray("both halves", 2L * up, "embeddingDim", embeddingDim, "feed-forward");
    Check.fitsArray("query/key width", qk, "value width of a head", v / numHeads, "memory");
    checkId("bosTokenId", bosTokenId, vocabSize);
    checkId("padTokenId", padTokenId, vocabSize);
    eosTokenIds = List.copyOf(eosTokenIds);
    eosTokenIds.forEach(id -> checkId("eosTokenId", id, vocabSize));
  }

  /// A model with every other choice as in the released one.
  public static LargeModelConfig of(int vocabSize, int embeddingDim, int numBlocks, int numHeads) {
    return new LargeModelConfig(
        vocabSize,
        embeddingDim,
        numBlocks,
        numHeads,
        false,
        0.5,
        1.0,
        2.667,
        64,
        15.0,
        30.0,
        true,
        1e-6,
        true,
        1e-6,
        64,
        256,
        WeightMode.SINGLE,
        false,
        null,
        List.of(),
        null);
  }

  /// NH DHQK, the width of the queries of all heads, and of the keys.
  public int qkDim() {
    return width("qkDimFactor", qkDimFactor, embeddingDim);
  }

  /// NH DHV, the width of the values of all heads.
  public int vDim() {
    return width("vDimFactor", vDimFactor, embeddingDim);
  }

  /// DHQK.
  public int qkHeadDim() {
    return qkDim() / numHeads;
  }

  /// DHV.
  public int vHeadDim() {
    return vDim() / numHeads;
  }

  /// U, the width of the feed-forward.
  public int ffnDim() {
    return LargeWidth.feedForward(ffnProjFactor, embeddingDim, ffnRoundUpToMultipleOf);
  }

  @Override
  public String modelType() {
    return MODEL_TYPE;
  }

  @Override
  public boolean tiesWeights() {
    return tieWordEmbeddings;
  }

  /// For another tokenizer.
  ///
  /// @param endOfText the token that begins and ends every text
  public LargeModelConfig withVocabulary(int newVocabSize, int endOfText) {
    return new LargeModelConfig(
        newVocabSize,
        embeddingDim,
        numBlocks,
        numHeads,
        useBias,
        qkDimFactor,
        vDimFactor,
        ffnProjFactor,
        ffnRoundUpToMultipleOf,
        gateSoftCap,
        outputLogitSoftCap,
        addOutNorm,
        normEps,
        normReductionForceFloat32,
        eps,
        chunkSize,
        contextLength,
        weightMode,
        tieWordEmbeddings,
        endOfText,
        List.of(endOfText),
        null);
  }

  public LargeModelConfig withWeightMode(WeightMode newWeightMode) {
    return new LargeModelConfig(
        vocabSize,
        embeddingDim,
        numBlocks,
        numHeads,
        useBias,
        qkDimFactor,
        vDimFactor,
        ffnProjFactor,
        ffnRoundUpToMultipleOf,
        gateSoftCap,
        outputLogitSoftCap,
        addOutNorm,
        normEps,
        normReductionForceFloat32,
        eps,
        chunkSize,
        contextLength,
        newWeightMode,
        tieWordEmbeddings,
        bosTokenId,
        eosTokenIds,
        padTokenId);
  }

  /// `int(D * factor)`: the official code truncates.
  private static int width(String name, double factor, int embeddingDim) {
    Check.positive(name, factor);
    double width = embeddingDim * factor;
    if (width < 1 || width > LargeWidth.MAX) {
      throw new IllegalArgumentException(
          "%s (%s) times embeddingDim (%d) gives %s: not a usable width"
              .formatted(name, factor, embeddingDim, width));
    }
    return (int) width;
  }

  private static void checkId(String name, @Nullable Integer id, int vocabSize) {
    if (id != null && (id < 0 || id >= vocabSize)) {
      throw new IllegalArgumentException(
          "%s (%d) must be in [0, vocabSize (%d))".formatted(name, id, vocabSize));
    }
  }

  public LargeModelConfig withVocabSize(int value) {
    return RecordComponents.with(this, "vocabSize", value);
  }

  public LargeModelConfig withEmbeddingDim(int value) {
    return RecordComponents.with(this, "embeddingDim", value);
  }

  public LargeModelConfig withNumBlocks(int value) {
    return RecordComponents.with(this, "numBlocks", value);
  }

  public LargeModelConfig withNumHeads(int value) {
    return RecordComponents.with(this, "numHeads", value);
  }

  public LargeModelConfig withUseBias(boolean value) {
    return RecordComponents.with(this, "useBias", value);
  }

  public LargeModelConfig withQkDimFactor(double value) {
    return RecordComponents.with(this, "qkDimFactor", value);
  }

  public LargeModelConfig withVDimFactor(double value) {
    return RecordComponents.with(this, "vDimFactor", value);
  }

  public LargeModelConfig withFfnProjFactor(double value) {
    return RecordComponents.with(this, "ffnProjFactor", value);
  }

  public LargeModelConfig withFfnRoundUpToMultipleOf(int value) {
    return RecordComponents.with(this, "ffnRoundUpToMultipleOf", value);
  }

  public LargeModelConfig withGateSoftCap(double value) {
    return RecordComponents.with(this, "gateSoftCap", value);
  }

  public LargeModelConfig withOutputLogitSoftCap(double value) {
    return RecordComponents.with(this, "outputLogitSoftCap", value);
  }

  public LargeModelConfig withAddOutNorm(boolean value) {
    return RecordComponents.with(this, "addOutNorm", value);
  }

  public LargeModelConfig withNormEps(double value) {
    return RecordComponents.with(this, "normEps", value);
  }

  public LargeModelConfig withNormReductionForceFloat32(boolean value) {
    return RecordComponents.with(this, "normReductionForceFloat32", value);
  }

  public LargeModelConfig withEps(double value) {
    return RecordComponents.with(this, "eps", value);
  }

  public LargeModelConfig withChunkSize(int value) {
    return RecordComponents.with(this, "chunkSize", value);
  }

  public LargeModelConfig withContextLength(int value) {
    return RecordComponents.with(this, "contextLength", value);
  }

  public LargeModelConfig withTieWordEmbeddings(boolean value) {
    return RecordComponents.with(this, "tieWordEmbeddings", value);
  }

  public LargeModelConfig withBosTokenId(@Nullable Integer value) {
    return RecordComponents.with(this, "bosTokenId", value);
  }

  public LargeModelConfig withEosTokenIds(List<Integer> value) {
    return RecordComponents.with(this, "eosTokenIds", value);
  }

  public LargeModelConfig withPadTokenId(@Nullable Integer value) {
    return RecordComponents.with(this, "padTokenId", value);
  }
}
