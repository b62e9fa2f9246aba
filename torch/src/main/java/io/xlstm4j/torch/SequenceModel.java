package io.xlstm4j.torch;

import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceModelConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// A model of sequences of numbers: features in, a block stack of the paper family, predictions
/// out, of a whole sequence or of each of its positions.
///
/// Rows may have different lengths; what the padding holds never changes a result. Owns its
/// parameters; [#close] frees them. Threads as for [XlstmLanguageModel].
public final class SequenceModel implements AutoCloseable {
  private final SequenceModelConfig config;
  private final Parameters parameters;
  private final ExecutionMode execution = new ExecutionMode();
  private final Linear inputProjection;
  private final BlockStack blockStack;
  private final Linear head;

  /// A float32 model on the CPU with freshly initialised parameters, drawn from the seed set by
  /// [Torch#seed].
  public SequenceModel(SequenceModelConfig config) {
    this(config, Torch.device("cpu"));
  }

  /// The same in float32 on a device.
  public SequenceModel(SequenceModelConfig config, Device device) {
    this(config, new Parameters(device, ScalarType.Float));
  }

  SequenceModel(SequenceModelConfig config, Parameters parameters) {
    this.config = config;
    this.parameters = parameters;
    int dim = config.blockStack().embeddingDim();
    double bound = 1 / Math.sqrt((double) config.inputs()); // of few features: as libtorch's Linear
    inputProjection =
        Linear.create(
            parameters.at("input_projection"),
            config.inputs(),
            dim,
            Init.uniform(bound),
            Init.constant(0));
    blockStack = new BlockStack(parameters.at("xlstm_block_stack"), config.blockStack(), execution);
    head =
        Linear.create(
            parameters.at("head"), dim, config.headWidth(), Init.small(dim), Init.constant(0));
  }

  /// @param predictions `(B, outputs, width)`, or `(B, S, outputs, width)` of every position; the
  ///   width is that of the loss: 1, the levels, or the logits of the classes
  /// @param state after the last position
  public record Output(Tensor predictions, BlockStack.State state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      var tensors = new ArrayList<Tensor>(state.tensors());
      tensors.add(predictions);
      return tensors;
    }
  }

  /// @param sum over the targets: one number, on the tape
  /// @param targets that are not NaN and not in the padding
  public record Loss(Tensor sum, long targets) {}

  public SequenceModelConfig config() {
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

  /// Returns whether the optimizer's weight decay applies to a parameter: to every weight that is
  /// no norm.
  public boolean decays(String parameterName) {
    return parameterName.contains("weight") && !parameterName.contains("norm");
  }

  /// The state before the first position of a batch of sequences.
  public BlockStack.State initialState(long batch) {
    return blockStack.initialState(batch);
  }

  /// Predictions from fresh sequences of full length.
  ///
  /// @param x `(B, S, F)`
  public Tensor forward(Tensor x) {
    return forward(x, SequenceLayout.FULL);
  }

  /// Predictions from fresh sequences.
  ///
  /// @param x `(B, S, F)`
  public Tensor forward(Tensor x, SequenceLayout layout) {
    return forward(x, initialState(x.size(0)), layout).predictions();
  }

  /// Predictions, and the state after the last position.
  ///
  /// A sequence without a valid position predicts from zeros.
  ///
  /// @param x `(B, S, F)`, on any device
  /// @param last the state before the first position; read, never written
  /// @param layout on any device
  public Output forward(Tensor x, BlockStack.State last, SequenceLayout layout) {
    Ops.expectShape("x", x, "(B, S, F)", -1, -1, config.inputs());
    SequenceLayout here = layout.on(parameters.device());
    here.check(x.size(0), x.size(1));
    Tensor features = here.padded(x.to(parameters.device(), parameters.type()), 1);
    BlockStack.Output blocks = blockStack.forward(inputProjection.forward(features), last, here);
    Tensor predicted = head.forward(pooled(blocks.x(), here)); // (B, [S,] outputs * width)
    long[] shape = Ops.shape(predicted);
    long[] split = Arrays.copyOf(shape, shape.length + 1);
    split[shape.length - 1] = config.outputs();
    split[shape.length] = config.loss().width();
    return new Output(predicted.view(split), blocks.state());
  }

  /// @param y `(B, S, D)`
  /// @return `(B, D)`, or `y` for every position
  private Tensor pooled(Tensor y, SequenceLayout layout) {
    long length = y.size(1);
    return switch (config.pooling()) {
      case EVERY -> layout.padded(y, 1);
      case LAST -> {
        if (layout.valid() == null) {
          yield y.select(1, length - 1);
        }
        Tensor place = layout.valid().to(ScalarType.Long).cumsum(1); // 1, 2, ... length, length
        Tensor last =
            place.eq(Ops.present(layout.valid()).sum(1L).unsqueeze(1)).logical_and(layout.valid());
        yield Ops.whereElse(Ops.column(last), y, 0).sum(1L);
      }
      case MEAN -> {
        if (layout.valid() == null) {
          yield y.mean(1);
        }
        Tensor count = layout.valid().sum(1L).clamp_min(Ops.number(1)).unsqueeze(1); // (B, 1)
        yield layout.padded(y, 1).sum(1L).div(count);
      }
    };
  }

  /// The loss summed over the targets that are there.
  ///
  /// @param x `(B, S, F)`
  /// @param targets `(B, outputs)`, or `(B, S, outputs)` of every position; NaN for none; for cross
  ///   entropy whole numbers in `[0, classes)`
  public Loss lossSum(Tensor x, Tensor targets, SequenceLayout layout) {
    Tensor predicted = forward(x, layout);
    Tensor wanted = targets.to(parameters.device(), ScalarType.Float);
    boolean every = config.pooling() == SequenceModelConfig.Pooling.EVERY;
    if (every) {
      Ops.expectShape("targets", wanted, "(B, S, outputs)", x.size(0), x.size(1), config.outputs());
    } else {
      Ops.expectShape("targets", wanted, "(B, outputs)", x.size(0), config.outputs());
    }
    Tensor known = wanted.eq(wanted); // not NaN
    if (every && layout.valid() != null) {
      SequenceLayout here = layout.on(parameters.device());
      known = known.logical_and(Ops.column(Ops.present(here.valid())));
    }
    long count = known.sum().item_long();
    return new Loss(SequenceLosses.sum(config.loss(), predicted, wanted, known), count);
  }

  /// Returns predictions for a batch of sequences, post-processed: quantiles put in rising order,
  /// probabilities for classes.
  ///
  /// @param rows features of each sequence, position after position; sequences may differ in length
  /// @return of each sequence `outputs · width` numbers, or as many for each of its positions
  /// @throws IllegalArgumentException if a sequence is empty or is no whole number of positions
  public List<float[]> predict(List<float[]> rows) {
    int inputs = config.inputs();
    int longest = 0;
    int[] lengths = new int[rows.size()];
    for (int row = 0; row < lengths.length; row++) {
      int numbers = rows.get(row).length;
      if (numbers == 0 || numbers % inputs != 0) {
        throw new IllegalArgumentException(
            "row %d has %d numbers, must be a positive multiple of the features (%d)"
                .formatted(row, numbers, inputs));
      }
      lengths[row] = numbers / inputs;
      longest = Math.max(longest, lengths[row]);
    }
    if (longest == 0) {
      return List.of();
    }
    float[] all = new float[lengths.length * longest * inputs];
    for (int row = 0; row < lengths.length; row++) {
      float[] features = rows.get(row);
      System.arraycopy(features, 0, all, row * longest * inputs, features.length);
    }
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      Tensor x = Tensors.of(all, lengths.length, longest, inputs);
      SequenceLayout layout =
          SequenceLayout.ofLengths(Tensors.of(lengths, lengths.length), longest);
      float[] numbers = Tensors.floats(finished(forward(x, layout)));
      var predictions = new ArrayList<float[]>();
      boolean every = config.pooling() == SequenceModelConfig.Pooling.EVERY;
      int stride = config.headWidth() * (every ? longest : 1);
      for (int row = 0; row < lengths.length; row++) {
        int count = config.headWidth() * (every ? lengths[row] : 1);
        predictions.add(Arrays.copyOfRange(numbers, row * stride, row * stride + count));
      }
      return predictions;
    }
  }

  private Tensor finished(Tensor predicted) {
    SequenceLossConfig loss = config.loss();
    return switch (loss.kind()) {
      case MSE, MAE -> predicted;
      case QUANTILE -> predicted.sort(-1, false).get0(); // sorting never raises the pinball loss
      case CROSS_ENTROPY -> predicted.softmax(-1);
    };
  }

  @Override
  public void close() {
    parameters.close();
  }
}
