package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.Locale;

/// A model of sequences of numbers: a linear projection of the features, the block stack of the
/// paper family, a linear head. For forecasts, regression and classification; it has no vocabulary.
///
/// In files its keys and those of the stack stand side by side.
///
/// @param inputs F, the features of a position
/// @param outputs how many targets are predicted, of a sequence or of a position
/// @param pooling where the head reads
/// @param loss what is predicted of each target
/// @param blockStack the blocks between projection and head
public record SequenceModelConfig(
    int inputs,
    int outputs,
    Pooling pooling,
    SequenceLossConfig loss,
    BlockStackConfig blockStack) {
  public static final String MODEL_TYPE = "xlstm_sequence";

  /// The positions that the head reads.
  public enum Pooling {
    /// at the last valid position of a sequence
    LAST,
    /// the mean over the valid positions of a sequence
    MEAN,
    /// at every position, each with predictions of its own
    EVERY;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  public SequenceModelConfig {
    Check.positive("inputs", inputs);
    Check.positive("outputs", outputs);
    Check.fitsArray("inputs", inputs, "embeddingDim", blockStack.embeddingDim(), "projection");
    Check.fitsArray("outputs", outputs, "loss width", loss.width(), "head");
    Check.fitsArray(
        "outputs times loss width",
        (long) outputs * loss.width(),
        "embeddingDim",
        blockStack.embeddingDim(),
        "head");
  }

  /// Rows of the head's matrix: numbers predicted at once.
  public int headWidth() {
    return outputs * loss.width();
  }

  public SequenceModelConfig withInputs(int value) {
    return RecordComponents.with(this, "inputs", value);
  }

  public SequenceModelConfig withOutputs(int value) {
    return RecordComponents.with(this, "outputs", value);
  }

  public SequenceModelConfig withPooling(Pooling value) {
    return RecordComponents.with(this, "pooling", value);
  }

  public SequenceModelConfig withLoss(SequenceLossConfig value) {
    return RecordComponents.with(this, "loss", value);
  }

  public SequenceModelConfig withBlockStack(BlockStackConfig value) {
    return RecordComponents.with(this, "blockStack", value);
  }
}
