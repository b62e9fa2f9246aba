package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;

/// The tensors that belong to a model, by name and shape, known from its configuration alone: what
/// every host of a model holds a checkpoint against before it allocates anything.
public final class ModelTensors {
  /// Bytes below which nobody minds, and how often the bytes of the weights above: usual models
  /// have far more weights than memory.
  private static final double LARGE_STATE = 64 << 20;

  private static final double MOST_STATE = 16;

  private ModelTensors() {}

  /// Every stored tensor of a model, in the order of the official modules (docs/math.md 5): the
  /// paper family under its official names, the Large family under those of Hugging Face.
  ///
  /// A tied head is in it, with the shape of the embedding it shares. The recurrent kernels of
  /// sLSTM cells have the shape of the layout that the configuration names.
  ///
  /// @return shape by name; the shapes belong to the caller
  public static SequencedMap<String, long[]> of(ModelConfig config) {
    var tensors = new LinkedHashMap<String, long[]>();
    switch (config) {
      case PaperModelConfig paper -> PaperTensors.add(paper, tensors);
      case LargeModelConfig large -> new LargeTensors(large).addTo(tensors);
    }
    return tensors;
  }

  /// Returns the number of parameters; a tied head counts once.
  public static long parameterCount(ModelConfig config) {
    long count = 0;
    for (Map.Entry<String, long[]> tensor : of(config).entrySet()) {
      if (!isTiedHead(config, tensor.getKey())) {
        count += Arrays.stream(tensor.getValue()).reduce(1, (a, b) -> a * b);
      }
    }
    return count;
  }

  /// Returns the number of floats in the state of one sequence, however long it is: those of its
  /// cells and the tails of its convolutions.
  public static long stateCount(ModelConfig config) {
    return switch (config) {
      case PaperModelConfig paper -> new PaperTensors(paper.blockStack()).stateCount();
      case LargeModelConfig large ->
          (long) large.numBlocks()
              * large.numHeads()
              * ((long) large.qkHeadDim() * large.vHeadDim() + large.qkHeadDim() + 1);
    };
  }

  /// The name of the embedding matrix `[V, D]`.
  public static String embedding(ModelConfig config) {
    return switch (config) {
      case PaperModelConfig _ -> PaperTensors.EMBEDDING;
      case LargeModelConfig _ -> LargeTensors.EMBEDDING;
    };
  }

  /// The name of the head `[V, D]`, in both families.
  public static String head() {
    return LargeTensors.HEAD;
  }

  /// Holds a checkpoint against its configuration: names, shapes, and that all are floating-point.
  ///
  /// A tied head may be missing; if it is there, it must equal the embedding. A recurrent kernel
  /// may be in either layout.
  ///
  /// @param where the name of the folder or file, for messages
  /// @throws InvalidInputException that names the first tensor that is missing, spare, of another
  ///   shape or kind, or not what it is tied to
  public static void check(ModelConfig config, TensorSource source, String where) {
    Map<String, long[]> expected = of(config);
    for (Map.Entry<String, long[]> tensor : expected.entrySet()) {
      TensorInfo actual = source.tensors().get(tensor.getKey());
      if (actual != null) {
        check(tensor.getKey(), tensor.getValue(), actual, where);
      } else if (!isTiedHead(config, tensor.getKey())) {
        throw new InvalidInputException(
            where + ": tensor " + tensor.getKey() + " is missing; the configuration asks for it");
      }
    }
    for (String name : source.tensors().keySet()) {
      if (!expected.containsKey(name)) {
        throw new InvalidInputException(
            "%s: tensor %s is spare; the configuration knows no such part"
                .formatted(where, OneLine.of(name)));
      }
    }
    if (config.tiesWeights() && source.tensors().containsKey(head())) {
      checkTied(embedding(config), source, where);
    }
    checkState(config, source, where);
  }

  /// A narrow residual stream between wide heads has few weights and a huge memory, which a file
  /// must not make anybody allocate.
  private static void checkState(ModelConfig config, TensorSource source, String where) {
    double state = (double) Float.BYTES * stateCount(config);
    double weights = source.tensors().values().stream().mapToDouble(info -> info.byteSize()).sum();
    if (state > LARGE_STATE && state > MOST_STATE * weights) {
      throw new InvalidInputException(
          String.format(
              Locale.ROOT,
              "%s: the memory of one sequence would take %.0f bytes, but all weights only %.0f; the widths of the configuration are damaged",
              where,
              state,
              weights));
    }
  }

  private static void checkTied(String embedding, TensorSource source, String where) {
    boolean equal = source.hasSameData(embedding, head());
    if (!equal) {
      throw new InvalidInputException(
          "%s: the configuration ties the weights, but %s and %s differ"
              .formatted(where, head(), embedding));
    }
  }

  /// Returns whether a tensor is the head of a model that shares it with the embedding.
  static boolean isTiedHead(ModelConfig config, String name) {
    return config.tiesWeights() && name.equals(head());
  }

  static void check(String name, long[] expected, TensorInfo actual, String where) {
    long[] shape = actual.shape();
    boolean otherLayout =
        name.endsWith(PaperTensors.RECURRENT_KERNEL)
            && Arrays.equals(shape, new long[] {expected[0], expected[2], expected[1]});
    if (!Arrays.equals(shape, expected) && !otherLayout) {
      throw new InvalidInputException(
          "%s: tensor %s has shape %s, but the configuration asks for %s"
              .formatted(where, name, Arrays.toString(shape), Arrays.toString(expected)));
    }
    if (!actual.dtype().isFloat()) {
      throw new InvalidInputException(
          "%s: tensor %s has type %s, but a weight must be a floating-point type"
              .formatted(where, name, actual.dtype()));
    }
  }

  /// The shape of a recurrent kernel in a layout.
  static long[] recurrentKernel(SlstmLayerConfig.Backend layout, long heads, long headDim) {
    return switch (layout) {
      case CUDA -> new long[] {heads, headDim, 4 * headDim};
      case VANILLA -> new long[] {heads, 4 * headDim, headDim};
    };
  }
}
