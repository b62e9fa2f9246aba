package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The blocks of a paper-family model and what they share (spec section 4).
///
/// `context_length` sizes nothing here: the official mask buffer does not exist, so any length
/// works. It is kept for the training window and for round trips with official configurations.
///
/// @param numBlocks how many residual blocks; default 1
/// @param embeddingDim D; default 128
/// @param contextLength the length a model is trained on, in tokens; default 256
/// @param slstmAt 0-based places of the sLSTM blocks; in files also `"all"`; default none
/// @param mlstmBlock template of the mLSTM blocks; null makes every block an sLSTM block
/// @param slstmBlock template of the sLSTM blocks
/// @param addPostBlocksNorm whether a LayerNorm follows the last block; default true
/// @param bias whether the projections of the mLSTM layers have biases; default false
/// @param dropout on the output of the mLSTM layers and of the sLSTM cells, not of the
///   feed-forward; default 0
public record BlockStackConfig(
    int numBlocks,
    int embeddingDim,
    int contextLength,
    List<Integer> slstmAt,
    @Nullable MlstmBlockConfig mlstmBlock,
    @Nullable SlstmBlockConfig slstmBlock,
    boolean addPostBlocksNorm,
    boolean bias,
    double dropout) {
  /// Far more than any model has; a larger number is a damaged file.
  private static final int MAX_BLOCKS = 4096;

  public BlockStackConfig {
    Check.positive("numBlocks", numBlocks);
    Check.atMost("numBlocks", numBlocks, MAX_BLOCKS);
    Check.positive("embeddingDim", embeddingDim);
    Check.positive("contextLength", contextLength);
    Check.inHalfOpenRange("dropout", dropout, 0, 1);
    for (int at : slstmAt) {
      if (at < 0 || at >= numBlocks) {
        throw new IllegalArgumentException(
            "slstmAt (" + at + ") must be a block index below numBlocks (" + numBlocks + ")");
      }
    }
    slstmAt =
        mlstmBlock == null
            ? IntStream.range(0, numBlocks).boxed().toList()
            : slstmAt.stream().distinct().sorted().toList();
    if (slstmBlock == null && !slstmAt.isEmpty()) {
      throw new IllegalArgumentException(
          "slstmBlock (null) must be given: the blocks "
              + slstmAt
              + " are sLSTM blocks, because "
              + (mlstmBlock == null ? "mlstmBlock is null" : "slstmAt names them"));
    }
    if (mlstmBlock != null && slstmAt.size() < numBlocks) {
      mlstmBlock.mlstm().checkFits(embeddingDim);
    }
    if (slstmBlock != null && !slstmAt.isEmpty()) {
      slstmBlock.checkFits(embeddingDim);
    }
  }

  /// A stack of default blocks.
  public static BlockStackConfig of(int numBlocks, int embeddingDim, List<Integer> slstmAt) {
    return new BlockStackConfig(
        numBlocks,
        embeddingDim,
        256,
        slstmAt,
        MlstmBlockConfig.DEFAULT,
        SlstmBlockConfig.DEFAULT,
        true,
        false,
        0.0);
  }

  /// The kind of each block, first to last.
  public List<BlockConfig> blocks() {
    var blocks = new ArrayList<BlockConfig>(numBlocks);
    for (int i = 0; i < numBlocks; i++) {
      BlockConfig block = slstmAt.contains(i) ? slstmBlock : mlstmBlock;
      if (block == null) {
        throw new AssertionError("the constructor lets no block be without its template");
      }
      blocks.add(block);
    }
    return List.copyOf(blocks);
  }

  public BlockStackConfig withDropout(double newDropout) {
    return new BlockStackConfig(
        numBlocks,
        embeddingDim,
        contextLength,
        slstmAt,
        mlstmBlock,
        slstmBlock,
        addPostBlocksNorm,
        bias,
        newDropout);
  }

  public BlockStackConfig withNumBlocks(int value) {
    return RecordComponents.with(this, "numBlocks", value);
  }

  public BlockStackConfig withEmbeddingDim(int value) {
    return RecordComponents.with(this, "embeddingDim", value);
  }

  public BlockStackConfig withContextLength(int value) {
    return RecordComponents.with(this, "contextLength", value);
  }

  public BlockStackConfig withSlstmAt(List<Integer> value) {
    return RecordComponents.with(this, "slstmAt", value);
  }

  public BlockStackConfig withMlstmBlock(@Nullable MlstmBlockConfig value) {
    return RecordComponents.with(this, "mlstmBlock", value);
  }

  public BlockStackConfig withSlstmBlock(@Nullable SlstmBlockConfig value) {
    return RecordComponents.with(this, "slstmBlock", value);
  }

  public BlockStackConfig withAddPostBlocksNorm(boolean value) {
    return RecordComponents.with(this, "addPostBlocksNorm", value);
  }

  public BlockStackConfig withBias(boolean value) {
    return RecordComponents.with(this, "bias", value);
  }
}
