package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// An mLSTM layer of the paper family (docs/math.md 3.2 and 3.6).
///
/// The official fields `embedding_dim`, `context_length`, `bias`, `dropout` and `_num_blocks` are
/// overwritten by the stack there, so only the stack has them here.
///
/// @param conv1dKernelSize K, taps of the causal convolution; 0 leaves it out; default 4
/// @param qkvProjBlocksize width of one block of the headwise q, k and v projections; default 4
/// @param numHeads NH; divides the inner width; default 4
/// @param projFactor inner width as a multiple of D, before rounding; default 2
/// @param roundProjUpDimUp whether the inner width is rounded up, not down; default true
/// @param roundProjUpToMultipleOf what the inner width is a multiple of; default 64
public record MlstmLayerConfig(
    int conv1dKernelSize,
    int qkvProjBlocksize,
    int numHeads,
    double projFactor,
    boolean roundProjUpDimUp,
    int roundProjUpToMultipleOf) {
  public static final MlstmLayerConfig DEFAULT = new MlstmLayerConfig(4, 4, 4, 2.0, true, 64);

  public MlstmLayerConfig {
    Check.notNegative("conv1dKernelSize", conv1dKernelSize);
    Check.positive("qkvProjBlocksize", qkvProjBlocksize);
    Check.positive("numHeads", numHeads);
    ProjectionWidth.check(projFactor, roundProjUpToMultipleOf);
  }

  /// I, the width of the layer between its two projections.
  public int innerDim(int embeddingDim) {
    return ProjectionWidth.of(
        "mlstmBlock.mlstm.projFactor",
        projFactor,
        embeddingDim,
        roundProjUpDimUp,
        roundProjUpToMultipleOf);
  }

  public MlstmLayerConfig withNumHeads(int newNumHeads) {
    return new MlstmLayerConfig(
        conv1dKernelSize,
        qkvProjBlocksize,
        newNumHeads,
        projFactor,
        roundProjUpDimUp,
        roundProjUpToMultipleOf);
  }

  void checkFits(int embeddingDim) {
    int inner = innerDim(embeddingDim);
    Check.divides("mlstmBlock.mlstm.qkvProjBlocksize", qkvProjBlocksize, "inner width", inner);
    Check.divides("mlstmBlock.mlstm.numHeads", numHeads, "inner width", inner);
    Check.fitsArray(
        "twice the inner width", 2L * inner, "embeddingDim", embeddingDim, "projection");
    Check.fitsArray("inner width", inner, "head width", inner / numHeads, "memory");
    Check.fitsArray(
        "inner width", inner, "mlstmBlock.mlstm.qkvProjBlocksize", qkvProjBlocksize, "projection");
    Check.fitsArray("inner width", 3L * inner, "mlstmBlock.mlstm.numHeads", numHeads, "gates");
    Check.fitsArray(
        "inner width", inner, "mlstmBlock.mlstm.conv1dKernelSize", conv1dKernelSize, "convolution");
  }

  public MlstmLayerConfig withConv1dKernelSize(int value) {
    return RecordComponents.with(this, "conv1dKernelSize", value);
  }

  public MlstmLayerConfig withQkvProjBlocksize(int value) {
    return RecordComponents.with(this, "qkvProjBlocksize", value);
  }

  public MlstmLayerConfig withProjFactor(double value) {
    return RecordComponents.with(this, "projFactor", value);
  }

  public MlstmLayerConfig withRoundProjUpDimUp(boolean value) {
    return RecordComponents.with(this, "roundProjUpDimUp", value);
  }

  public MlstmLayerConfig withRoundProjUpToMultipleOf(int value) {
    return RecordComponents.with(this, "roundProjUpToMultipleOf", value);
  }
}
