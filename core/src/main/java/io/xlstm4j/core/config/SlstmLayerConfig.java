package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// An sLSTM layer of the paper family with its cell (docs/math.md 1 and 3.6).
///
/// The official fields that only steer the CUDA compiler or are overwritten or unused there
/// (`batch_size`, `constants`, the three shapes, the dtypes, `num_states`, `num_gates`,
/// `initial_val`, `hidden_size`, `embedding_dim`, `dropout`) are accepted in files and have no
/// place here; gates and states are float32 or wider always.
///
/// @param numHeads NH; divides D; default 4
/// @param conv1dKernelSize K, taps of the causal convolution before the input and forget gates; 0
///   leaves out convolution and SiLU; default 4
/// @param groupNormWeight whether the norm per head has a weight; default true
/// @param backend which official backend's layout the recurrent kernel is stored in; default cuda
/// @param function which recurrence the cell computes; default slstm
/// @param biasInit how the gate biases start; default powerlaw_blockdependent
/// @param recurrentWeightInit how the recurrent kernel starts; default zeros
/// @param gradientRecurrentCut whether no gradient flows back through the recurrent product;
///   default false
/// @param gradientRecurrentClipval bound of that gradient, element by element; null for none
/// @param forwardClipval bound of the cell's output, element by element; null for none
public record SlstmLayerConfig(
    int numHeads,
    int conv1dKernelSize,
    boolean groupNormWeight,
    Backend backend,
    Function function,
    BiasInit biasInit,
    RecurrentWeightInit recurrentWeightInit,
    boolean gradientRecurrentCut,
    @Nullable Double gradientRecurrentClipval,
    @Nullable Double forwardClipval) {
  public static final SlstmLayerConfig DEFAULT =
      new SlstmLayerConfig(
          4,
          4,
          true,
          Backend.CUDA,
          Function.SLSTM,
          BiasInit.POWERLAW_BLOCKDEPENDENT,
          RecurrentWeightInit.ZEROS,
          false,
          null,
          null);

  /// Storage layout of the recurrent kernel and bias (docs/math.md 1.2).
  public enum Backend {
    /// kernel `[NH, DHin, 4 DHout]`, bias in order (head, gate, unit)
    CUDA,
    /// kernel `[NH, 4 DHout, DHin]`, bias in order (gate, head, unit)
    VANILLA;

    @Override
    public String toString() {
      return key(this);
    }
  }

  /// The recurrence: the paper's sLSTM, or a plain LSTM with the same block-diagonal recurrence.
  public enum Function {
    SLSTM,
    LSTM;

    @Override
    public String toString() {
      return key(this);
    }
  }

  /// Start of the biases (docs/math.md 1.4).
  public enum BiasInit {
    POWERLAW_BLOCKDEPENDENT,
    SMALL_INIT,
    STANDARD,
    ZEROS;

    @Override
    public String toString() {
      return key(this);
    }
  }

  /// Start of the recurrent kernel (docs/math.md 1.4).
  public enum RecurrentWeightInit {
    ZEROS,
    STANDARD;

    @Override
    public String toString() {
      return key(this);
    }
  }

  public SlstmLayerConfig {
    Check.positive("numHeads", numHeads);
    Check.notNegative("conv1dKernelSize", conv1dKernelSize);
    if (gradientRecurrentClipval != null) {
      Check.positive("gradientRecurrentClipval", gradientRecurrentClipval);
    }
    if (forwardClipval != null) {
      Check.positive("forwardClipval", forwardClipval);
    }
  }

  public SlstmLayerConfig withNumHeads(int newNumHeads) {
    return new SlstmLayerConfig(
        newNumHeads,
        conv1dKernelSize,
        groupNormWeight,
        backend,
        function,
        biasInit,
        recurrentWeightInit,
        gradientRecurrentCut,
        gradientRecurrentClipval,
        forwardClipval);
  }

  public SlstmLayerConfig withBackend(Backend newBackend) {
    return new SlstmLayerConfig(
        numHeads,
        conv1dKernelSize,
        groupNormWeight,
        newBackend,
        function,
        biasInit,
        recurrentWeightInit,
        gradientRecurrentCut,
        gradientRecurrentClipval,
        forwardClipval);
  }

  private static String key(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  public SlstmLayerConfig withConv1dKernelSize(int value) {
    return RecordComponents.with(this, "conv1dKernelSize", value);
  }

  public SlstmLayerConfig withGroupNormWeight(boolean value) {
    return RecordComponents.with(this, "groupNormWeight", value);
  }

  public SlstmLayerConfig withFunction(Function value) {
    return RecordComponents.with(this, "function", value);
  }

  public SlstmLayerConfig withBiasInit(BiasInit value) {
    return RecordComponents.with(this, "biasInit", value);
  }

  public SlstmLayerConfig withRecurrentWeightInit(RecurrentWeightInit value) {
    return RecordComponents.with(this, "recurrentWeightInit", value);
  }

  public SlstmLayerConfig withGradientRecurrentCut(boolean value) {
    return RecordComponents.with(this, "gradientRecurrentCut", value);
  }

  public SlstmLayerConfig withGradientRecurrentClipval(@Nullable Double value) {
    return RecordComponents.with(this, "gradientRecurrentClipval", value);
  }

  public SlstmLayerConfig withForwardClipval(@Nullable Double value) {
    return RecordComponents.with(this, "forwardClipval", value);
  }
}
