package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Language models of both families, with both backends, while training and not: however a batch is
/// cut into passes that hand the state on, whatever state it enters with, and with documents and
/// padding, logits, last states and gradients are those of every document by itself in float64.
///
/// Widths and heads are no multiples of a vector's lanes.
class StateCombinationsTest {
  private static final int VOCAB = 11;
  private static final int WIDTH = 9;

  /// Float32 against float64, of the largest number of a tensor, or of one where that is smaller.
  private static final double OUTPUT = 2e-5;

  private static final double GRADIENT = 2e-4;

  private static final List<Layouts> LAYOUTS =
      List.of(
          Layouts.ofLengths(WIDTH, 9, 9, 9),
          new Layouts(WIDTH, List.of(9, 9, 9), List.of(List.of(0), List.of(3, 4), List.of(8))),
          new Layouts(WIDTH, List.of(7, 9, 0), List.of(List.of(2, 8), List.of(), List.of(0))),
          Layouts.ofLengths(1, 1, 1, 1));

  /// Lengths of the passes that a batch is cut into: one, several, one for each token.
  private static final List<List<Integer>> CUTS =
      List.of(List.of(9), List.of(2, 1, 4, 2), List.of(1, 1, 1, 1, 1, 1, 1, 1, 1));

  private static ModelConfig paper(int dim, int heads) {
    return PaperModelConfig.of(
        VOCAB,
        new BlockStackConfig(
            2,
            dim,
            16,
            List.of(1),
            new MlstmBlockConfig(MlstmLayerConfig.DEFAULT.withNumHeads(heads)),
            new SlstmBlockConfig(
                SlstmLayerConfig.DEFAULT.withNumHeads(heads), FeedForwardConfig.DEFAULT),
            true,
            false,
            0.0));
  }

  static Stream<Arguments> cases() {
    List<ModelConfig> models =
        List.of(
            paper(12, 1),
            paper(24, 8),
            LargeModelConfig.of(VOCAB, 12, 2, 1),
            LargeModelConfig.of(VOCAB, 12, 2, 2));
    List<String> names =
        List.of("paper, 1 head", "paper, 8 heads", "large, 1 head", "large, 2 heads");
    return Stream.of(Backend.values())
        .flatMap(backend ->
            Stream.of(0, 1, 2, 3).map(i -> Arguments.of(names.get(i), backend, models.get(i))));
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("cases")
  void every_document_stands_alone_in_every_form(String name, Backend backend, ModelConfig config) {
    var draws = Draws.float64(name.hashCode());
    try (var _ = new PointerScope();
        var exact = new XlstmLanguageModel(config, Torch.device("cpu"), ScalarType.Double);
        var model = new XlstmLanguageModel(config)) {
      model.backend(backend);
      stir(exact, model, draws);
      for (Layouts layouts : LAYOUTS) {
        for (boolean warm : new boolean[] {false, true}) {
          try (var _ = new PointerScope()) {
            var given = new Given(exact, layouts, warm, draws);
            Result expected = given.alone(exact);
            for (List<Integer> cuts : layouts.width() == 1 ? List.of(List.of(1)) : CUTS) {
              String what = "%s, warm %s, passes of %s".formatted(layouts, warm, cuts);
              model.training(true);
              Result training = given.inPasses(model, cuts);
              training.assertClose(what, expected);
              model.training(false);
              try (var _ = new NoGradGuard()) {
                given.forward(model, given.states(model), cuts).assertClose(what, training);
              }
            }
          }
        }
      }
    }
  }

  /// Moves every parameter off its start, in both models to the same float32 numbers.
  private static void stir(XlstmLanguageModel exact, XlstmLanguageModel model, Draws draws) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      Map<String, Tensor> exactly = exact.parameters().byName();
      model
          .parameters()
          .byName()
          .forEach((name, parameter) -> {
            parameter.add_(draws.normal(0.1, Ops.shape(parameter)).to(ScalarType.Float));
            Objects.requireNonNull(exactly.get(name)).copy_(parameter);
          });
    }
  }

  /// The inputs of a model, and the weights of its logits and last states in the loss.
  private static final class Given {
    private final Layouts layouts;
    private final Tensor ids;
    private final List<Tensor> entering; // empty for a fresh state
    private final Tensor ofLogits; // 0 in the padding
    private final List<Tensor> ofState;

    /// Not for the mLSTM's stabilizer: by convention gradients are those at a fixed one.
    private final List<Boolean> withGradient = new ArrayList<>();

    Given(XlstmLanguageModel exact, Layouts layouts, boolean warm, Draws draws) {
      this.layouts = layouts;
      int rows = layouts.rows();
      ids = Tensors.of(draws.ids(rows * layouts.width(), VOCAB), rows, layouts.width());
      entering = new ArrayList<>();
      ofState = new ArrayList<>();
      for (BlockState block : exact.initialState(rows).blocks()) {
        for (BlockState.Named part : block.named()) {
          long[] shape = Ops.shape(part.tensor());
          boolean normalizer = block instanceof SlstmBlock.State && part.name().equals("n");
          if (warm) {
            entering.add(normalizer ? draws.uniform(1, 2, shape) : draws.normal(0.5, shape));
          }
          boolean fixed = part.name().equals("m") && !(block instanceof SlstmBlock.State);
          ofState.add(draws.normal(fixed ? 0 : 1, shape));
          withGradient.add(!fixed);
        }
      }
      Tensor weights = draws.normal(1, rows, layouts.width(), VOCAB);
      ofLogits = layouts.masks().padded(weights, 1);
    }

    /// The entering state as leaves of the model's type.
    List<Tensor> states(XlstmLanguageModel model) {
      ScalarType type = model.parameters().byName().values().iterator().next().scalar_type();
      if (entering.isEmpty()) {
        return model.initialState(layouts.rows()).tensors();
      }
      return Gradients.leaves(entering.stream().map(x -> x.to(type)).toList());
    }

    private List<Tensor> leaves(List<Tensor> before) {
      return IntStream.range(0, entering.size())
          .filter(withGradient::get)
          .mapToObj(before::get)
          .toList();
    }

    /// One pass after the other, each with the state that the one before left.
    Result inPasses(XlstmLanguageModel model, List<Integer> cuts) {
      List<Tensor> before = states(model);
      Result result = forward(model, before, cuts);
      return result.withGradients(loss(result), model, leaves(before));
    }

    Result forward(XlstmLanguageModel model, List<Tensor> before, List<Integer> cuts) {
      var state = with(model.initialState(layouts.rows()), before);
      var logits = new ArrayList<Tensor>();
      int from = 0;
      for (int length : cuts) {
        var output =
            model.forward(ids.narrow(1, from, length), state, layouts.masks().narrow(from, length));
        logits.add(output.logits());
        state = output.state();
        from += length;
      }
      Tensor all = layouts.masks().padded(concat(1, logits), 1);
      return new Result(all, state.tensors(), List.of());
    }

    /// Every document by itself.
    Result alone(XlstmLanguageModel exact) {
      List<Tensor> before = states(exact);
      var rows = new ArrayList<Tensor[]>();
      var states = new ArrayList<List<Tensor>>();
      for (int row = 0; row < layouts.rows(); row++) {
        int r = row;
        states.add(before.stream().map(x -> x.narrow(0, r, 1)).toList());
        Tensor[] positions = new Tensor[layouts.width()];
        Arrays.fill(positions, Ops.zerosLike(ofLogits, new long[] {1, 1, VOCAB}));
        rows.add(positions);
      }
      for (Layouts.Run run : layouts.runs()) {
        var fresh = exact.initialState(1);
        var output =
            exact.forward(
                ids.narrow(0, run.row(), 1).narrow(1, run.from(), run.length()),
                run.fresh() ? fresh : with(fresh, states.get(run.row())),
                SequenceLayout.FULL);
        for (int t = 0; t < run.length(); t++) {
          rows.get(run.row())[run.from() + t] = output.logits().narrow(1, t, 1);
        }
        states.set(run.row(), output.state().tensors());
      }
      Tensor logits = concat(0, rows.stream().map(row -> Ops.concat(1, row)).toList());
      var last = new ArrayList<Tensor>();
      for (int i = 0; i < before.size(); i++) {
        int part = i;
        last.add(concat(0, states.stream().map(tensors -> tensors.get(part)).toList()));
      }
      var result = new Result(logits, last, List.of());
      return result.withGradients(loss(result), exact, leaves(before));
    }

    private Tensor loss(Result result) {
      Tensor loss = result.logits.mul(ofLogits.type_as(result.logits)).sum();
      for (int i = 0; i < ofState.size(); i++) {
        Tensor part = result.state.get(i);
        loss = loss.add(part.mul(ofState.get(i).type_as(part)).sum());
      }
      return loss;
    }
  }

  private static Tensor concat(long axis, List<Tensor> parts) {
    return Ops.concat(axis, parts.toArray(Tensor[]::new));
  }

  private static BlockStack.State with(BlockStack.State like, List<Tensor> tensors) {
    var blocks = new ArrayList<BlockState>();
    int from = 0;
    for (BlockState block : like.blocks()) {
      int to = from + block.named().size();
      blocks.add(block.with(tensors.subList(from, to)));
      from = to;
    }
    return new BlockStack.State(blocks);
  }

  /// @param logits 0 in the padding
  /// @param gradients of the parameters, then of the entering state; empty if not computed
  private record Result(Tensor logits, List<Tensor> state, List<Tensor> gradients) {
    Result withGradients(Tensor loss, XlstmLanguageModel model, List<Tensor> entering) {
      model.parameters().zeroGradients();
      loss.backward();
      var all = new ArrayList<Tensor>();
      for (Tensor parameter : model.parameters().byName().values()) {
        all.add(Gradients.of(parameter).clone());
      }
      entering.forEach(leaf -> all.add(Gradients.of(leaf).clone()));
      return new Result(logits, state, all);
    }

    void assertClose(String what, Result expected) {
      close(what + ": logits", logits, expected.logits, OUTPUT);
      for (int i = 0; i < state.size(); i++) {
        close(what + ": state " + i, state.get(i), expected.state.get(i), OUTPUT);
      }
      for (int i = 0; i < gradients.size(); i++) {
        close(what + ": gradient " + i, gradients.get(i), expected.gradients.get(i), GRADIENT);
      }
    }

    private static void close(String what, Tensor actual, Tensor expected, double tolerance) {
      Tensor exact = expected.to(ScalarType.Double);
      double scale = Math.max(1, Gradients.largest(exact));
      assertThat(Golden.largestDifference(actual.to(ScalarType.Double), exact))
          .as(what)
          .isLessThanOrEqualTo(tolerance * scale);
    }
  }
}
