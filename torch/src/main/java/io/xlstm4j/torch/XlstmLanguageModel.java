package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.embedding;

import io.xlstm4j.core.LanguageModel;
import io.xlstm4j.core.ModelState;
import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// A language model of either family: embedding, block stack, head (docs/math.md 3.9 and section
/// 4).
///
/// Owns its parameters; [#close] frees them. Forward passes only read them, so several threads may
/// run one model, each in its own scope, as long as none trains it. Let them be platform threads:
/// libtorch keeps its gradient switch per native thread, and a virtual one may change that.
public final class XlstmLanguageModel implements LanguageModel {
  /// Tokens that one call of [#prefill] hands to the blocks at once, which bounds its memory.
  private static final int PREFILL_LENGTH = 1024;

  private final ModelConfig config;
  private final Parameters parameters;
  private final Tensor tokenEmbedding; // (V, D)
  private final Tensor lmHead; // (V, D); the embedding itself if tied
  private final BlockStack blockStack;
  private final Dropout embeddingDropout;
  private final ExecutionMode execution = new ExecutionMode();

  /// A model with freshly initialised parameters, drawn from the seed set by [Torch#seed].
  ///
  /// @param type what the parameters are stored in; float32 to train
  public XlstmLanguageModel(ModelConfig config, Device device, ScalarType type) {
    this(config, new Parameters(device, type));
  }

  XlstmLanguageModel(ModelConfig config, Parameters parameters) {
    this.config = config;
    this.parameters = parameters;
    double dropout = 0;
    switch (config) {
      case PaperModelConfig paper -> {
        blockStack =
            new BlockStack(parameters.at("xlstm_block_stack"), paper.blockStack(), execution);
        tokenEmbedding = vocabularyMatrix("token_embedding");
        dropout = paper.addEmbeddingDropout() ? paper.blockStack().dropout() : 0;
      }
      case LargeModelConfig large -> {
        tokenEmbedding = vocabularyMatrix("backbone.embeddings");
        blockStack = new BlockStack(parameters.at("backbone"), large, execution);
      }
    }
    lmHead = config.tiesWeights() ? tokenEmbedding : vocabularyMatrix("lm_head");
    embeddingDropout = new Dropout(dropout, execution);
  }

  private Tensor vocabularyMatrix(String name) {
    int dim = config.embeddingDim();
    return parameters.at(name).create("weight", Init.small(dim), config.vocabSize(), dim);
  }

  /// A float32 model on the CPU.
  public XlstmLanguageModel(ModelConfig config) {
    this(config, Torch.device("cpu"), ScalarType.Float);
  }

  /// @param logits `(B, S, V)`
  /// @param state after the last token
  public record Output(Tensor logits, BlockStack.State state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      var tensors = new ArrayList<Tensor>(state.tensors());
      tensors.add(logits);
      return tensors;
    }
  }

  public ModelConfig config() {
    return config;
  }

  public Parameters parameters() {
    return parameters;
  }

  /// Chooses what computes the cells; [Backend#FUSED] at first.
  public void backend(Backend backend) {
    blockStack.backend(backend);
  }

  /// Returns whether dropout is on. Off at first.
  public void training(boolean on) {
    blockStack.training(on);
  }

  /// Chooses what projections are computed in; [Precision#FLOAT32] at first. Parameters, and so
  /// checkpoints, stay float32. With [Precision#BFLOAT16] a pass on [Backend#FUSED] on the CPU is
  /// an [io.xlstm4j.core.InvalidInputException]: those kernels compute in float32.
  public void precision(Precision precision) {
    blockStack.precision(precision);
  }

  /// Returns whether a block keeps only what entered it for the backward pass and is computed again
  /// there; see [BlockStack#activationCheckpointing]. Off at first.
  public void activationCheckpointing(boolean on) {
    blockStack.activationCheckpointing(on);
  }

  /// The settings that decide the numbers of a pass.
  ExecutionMode.Settings settings() {
    return execution.settings();
  }

  /// Returns whether a training pass draws random numbers.
  boolean drawsRandomNumbers() {
    return config instanceof PaperModelConfig paper && paper.blockStack().dropout() > 0;
  }

  /// Returns whether blocks are computed again in the backward pass.
  boolean recomputes() {
    return execution.activationCheckpointing();
  }

  /// The state before the first token of a batch of sequences.
  public BlockStack.State initialState(long batch) {
    return blockStack.initialState(batch);
  }

  /// Logits at every position, from fresh sequences of full length.
  ///
  /// @param ids `(B, S)` int64
  /// @return `(B, S, V)`, owned by the caller's scope
  public Tensor forward(Tensor ids) {
    return forward(ids, initialState(ids.size(0)), SequenceLayout.FULL).logits();
  }

  /// Logits at every position, and the state after the last.
  ///
  /// @param ids `(B, S)` int64, on any device; in the padding too, each in `[0, V)`
  /// @param last the state before the first token; read, never written
  /// @param layout on any device
  public Output forward(Tensor ids, BlockStack.State last, SequenceLayout layout) {
    BlockStack.Output blocks = hidden(ids, last, layout);
    return new Output(logits(blocks.x()), blocks.state());
  }

  /// A loss, and the state after the last token.
  ///
  /// @param value one number, in nats
  public record Loss(Tensor value, BlockStack.State state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      var tensors = new ArrayList<Tensor>(state.tensors());
      tensors.add(value);
      return tensors;
    }
  }

  /// Mean cross entropy of the predictions of every position, as [Losses#crossEntropy] over the
  /// logits, which it need not hold at once.
  ///
  /// @param ids `(B, S)` int64
  /// @param targets `(B, S)` int64, [Losses#IGNORED] where nothing is to be predicted
  /// @param last the state before the first token; read, never written
  public Loss loss(Tensor ids, Tensor targets, BlockStack.State last, SequenceLayout layout) {
    return loss(ids, targets, last, layout, true);
  }

  /// The same, summed.
  public Loss lossSum(Tensor ids, Tensor targets, BlockStack.State last, SequenceLayout layout) {
    return loss(ids, targets, last, layout, false);
  }

  private Loss loss(
      Tensor ids, Tensor targets, BlockStack.State last, SequenceLayout layout, boolean mean) {
    Ops.expectShape("targets", targets, "(B, S)", ids.size(0), ids.size(1));
    BlockStack.Output blocks = hidden(ids, last, layout);
    Tensor value;
    if (execution.fuses(blocks.x()) && execution.fuses(lmHead)) {
      Tensor wanted = targets.to(ScalarType.Long);
      double cap = config instanceof LargeModelConfig large ? large.outputLogitSoftCap() : 0;
      value = execution.head().crossEntropy(parameters, blocks.x(), lmHead, wanted, cap, mean);
    } else {
      Tensor logits = logits(blocks.x());
      value = mean ? Losses.crossEntropy(logits, targets) : Losses.crossEntropySum(logits, targets);
    }
    return new Loss(value, blocks.state());
  }

  private BlockStack.Output hidden(Tensor ids, BlockStack.State last, SequenceLayout layout) {
    Ops.expectShape("ids", ids, "(B, S)", -1, -1);
    Device device = parameters.device();
    Tensor x = embedding(tokenEmbedding, ids.to(device, ScalarType.Long)); // (B, S, D)
    return blockStack.forward(embeddingDropout.forward(x), last, layout.on(device));
  }

  private Tensor logits(Tensor hidden) {
    Tensor logits = Ops.project(execution.forProjection(hidden), lmHead, null).type_as(hidden);
    return switch (config) {
      case PaperModelConfig _ -> logits;
      case LargeModelConfig large ->
          Ops.softCap(Ops.atLeastFloat32(logits), large.outputLogitSoftCap());
    };
  }

  /// Returns whether the optimizer's weight decay applies to a parameter: to every weight that is
  /// no norm, and to the embedding only if the configuration says so, which in the Large family it
  /// never does (spec section 4 and 8.3).
  public boolean decays(String parameterName) {
    return parameterName.equals(ModelTensors.embedding(config))
        ? config instanceof PaperModelConfig paper && paper.weightDecayOnEmbedding()
        : parameterName.contains("weight") && !parameterName.contains("norm");
  }

  @Override
  public int vocabSize() {
    return config.vocabSize();
  }

  @Override
  public ModelState initialState() {
    try (var _ = new PointerScope()) {
      return SequenceStates.split(initialState(1), new long[] {0}).getFirst();
    }
  }

  @Override
  public Prediction prefill(int[] ids, ModelState state) {
    if (ids.length == 0) {
      throw new IllegalArgumentException("prefill needs at least one token id");
    }
    ModelState current = state;
    for (int from = 0; ; from += PREFILL_LENGTH) {
      int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + PREFILL_LENGTH));
      Prediction prediction = advance(part, part.length, List.of(current)).getFirst();
      if (from + part.length == ids.length) {
        return prediction;
      }
      current = prediction.state();
    }
  }

  @Override
  public List<Prediction> step(int[] ids, List<ModelState> states) {
    if (ids.length != states.size() || ids.length == 0) {
      throw new IllegalArgumentException(
          "ids (%d) and states (%d) must be equally many, at least one"
              .formatted(ids.length, states.size()));
    }
    return advance(ids, 1, states);
  }

  /// Reads `length` tokens in each sequence and predicts after the last.
  private List<Prediction> advance(int[] ids, int length, List<ModelState> states) {
    for (int id : ids) {
      if (id < 0 || id >= config.vocabSize()) {
        throw new IllegalArgumentException(
            "token id (%d) must be in [0, vocabSize (%d))".formatted(id, config.vocabSize()));
      }
    }
    int rows = states.size();
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      BlockStack.State last = SequenceStates.join(initialState(rows), states);
      BlockStack.Output output = hidden(Tensors.of(ids, rows, length), last, SequenceLayout.FULL);
      float[] logits = Tensors.floats(logits(output.x().select(1, length - 1)));
      long[] positions = states.stream().mapToLong(s -> s.position() + length).toArray();
      List<ModelState> next = SequenceStates.split(output.state(), positions);
      var predictions = new ArrayList<Prediction>(rows);
      for (int row = 0; row < rows; row++) {
        int from = row * config.vocabSize();
        predictions.add(
            new Prediction(
                Arrays.copyOfRange(logits, from, from + config.vocabSize()), next.get(row)));
      }
      return predictions;
    }
  }

  @Override
  public void close() {
    parameters.close();
  }
}
