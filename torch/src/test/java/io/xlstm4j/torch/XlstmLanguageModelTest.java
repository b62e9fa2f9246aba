package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.LanguageModel.Prediction;
import io.xlstm4j.core.ModelState;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import io.xlstm4j.core.config.SlstmLayerConfig.BiasInit;
import io.xlstm4j.core.config.SlstmLayerConfig.Function;
import io.xlstm4j.core.config.SlstmLayerConfig.RecurrentWeightInit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.assertj.core.data.Offset;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Running a language model: prefill, step, states as values.
class XlstmLanguageModelTest {
  private static final int VOCAB = 11;

  /// float32 rounding, over sums of some dozen terms and logits of size one.
  private static final Offset<Float> CLOSE = within(1e-5f);

  private XlstmLanguageModel model;

  @BeforeEach
  void create() {
    Torch.seed(1);
    model = new XlstmLanguageModel(config(4, List.of(1)));
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var draws = new Draws(2, ScalarType.Float);
      for (Tensor parameter : model.parameters().byName().values()) {
        parameter.add_(draws.normal(0.1, Ops.shape(parameter)));
      }
    }
  }

  @AfterEach
  void close() {
    model.close();
  }

  private static PaperModelConfig config(int kernel, List<Integer> slstmAt) {
    return PaperModelConfig.of(
        VOCAB,
        new BlockStackConfig(
            2,
            16,
            32,
            slstmAt,
            new MlstmBlockConfig(new MlstmLayerConfig(kernel, 4, 2, 2.0, true, 16)),
            new SlstmBlockConfig(
                new SlstmLayerConfig(
                    2,
                    kernel,
                    true,
                    Backend.CUDA,
                    Function.SLSTM,
                    BiasInit.SMALL_INIT,
                    RecurrentWeightInit.STANDARD,
                    false,
                    null,
                    null),
                FeedForwardConfig.DEFAULT),
            true,
            false,
            0.0));
  }

  private static int[] ids(int count) {
    return Draws.float64(count).ids(count, VOCAB);
  }

  /// Logits at every position, by one forward pass.
  private static float[][] forward(XlstmLanguageModel model, int[] ids) {
    try (var _ = new PointerScope()) {
      Tensor logits = model.forward(Tensors.of(ids, 1, ids.length)).select(0, 0);
      float[] flat = Tensors.floats(logits);
      float[][] rows = new float[ids.length][];
      for (int t = 0; t < ids.length; t++) {
        rows[t] = Arrays.copyOfRange(flat, t * VOCAB, (t + 1) * VOCAB);
      }
      return rows;
    }
  }

  @ParameterizedTest(name = "prefill of {0}")
  @ValueSource(ints = {1, 2, 3, 4, 5, 19, 63, 64, 65, 69})
  void prefill_up_to_any_boundary_and_steps_after_it_equal_one_forward(int boundary) {
    int[] ids = ids(70);
    float[][] expected = forward(model, ids);

    Prediction prediction = model.prefill(Arrays.copyOf(ids, boundary), model.initialState());
    assertThat(prediction.logits()).containsExactly(expected[boundary - 1], CLOSE);
    for (int t = boundary; t < Math.min(ids.length, boundary + 9); t++) {
      prediction = model.step(new int[] {ids[t]}, List.of(prediction.state())).getFirst();
      assertThat(prediction.logits()).containsExactly(expected[t], CLOSE);
      assertThat(prediction.state().position()).isEqualTo(t + 1);
    }
    int[] rest = Arrays.copyOfRange(ids, Math.min(ids.length - 1, boundary + 9), ids.length);
    if (boundary + 9 < ids.length) {
      assertThat(model.prefill(rest, prediction.state()).logits())
          .containsExactly(expected[ids.length - 1], CLOSE);
    }
  }

  @ParameterizedTest(name = "kernel {0}")
  @ValueSource(ints = {0, 1, 2, 4})
  void a_prefill_in_pieces_shorter_than_the_convolution_equals_one_forward(int kernel) {
    try (var small = new XlstmLanguageModel(config(kernel, List.of(0)))) {
      int[] ids = ids(10);
      float[][] expected = forward(small, ids);
      ModelState state = small.initialState();
      int at = 0;
      for (int piece : new int[] {1, 2, 1, 3, 1, 2}) {
        Prediction prediction = small.prefill(Arrays.copyOfRange(ids, at, at + piece), state);
        at += piece;
        state = prediction.state();
        assertThat(prediction.logits()).containsExactly(expected[at - 1], CLOSE);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1023, 1024, 1025, 2100})
  void a_prompt_longer_than_one_pass_equals_one_forward(int length) {
    int[] ids = ids(length);
    Prediction prediction = model.prefill(ids, model.initialState());
    assertThat(prediction.logits()).containsExactly(forward(model, ids)[length - 1], CLOSE);
    assertThat(prediction.state().position()).isEqualTo(length);
  }

  @Test
  void rows_at_different_positions_step_together_as_they_step_alone() {
    var states = new ArrayList<ModelState>();
    states.add(model.initialState());
    for (int length : new int[] {1, 2, 7, 66}) {
      states.add(model.prefill(ids(length), model.initialState()).state());
    }
    int[] next = ids(states.size());
    List<Prediction> together = model.step(next, states);
    assertThat(together).hasSameSizeAs(states);
    for (int row = 0; row < next.length; row++) {
      Prediction alone = model.step(new int[] {next[row]}, List.of(states.get(row))).getFirst();
      assertThat(together.get(row).logits()).containsExactly(alone.logits(), CLOSE);
      assertThat(together.get(row).state().position()).isEqualTo(alone.state().position());
      for (String part : alone.state().parts().keySet()) {
        assertThat(together.get(row).state().part(part).values())
            .as(part)
            .containsExactly(alone.state().part(part).values(), CLOSE);
      }
    }
  }

  @Test
  void a_state_is_never_changed_and_can_be_continued_many_times() {
    ModelState before = model.prefill(ids(5), model.initialState()).state();
    ModelState same = model.prefill(ids(5), model.initialState()).state();
    assertThat(before).isEqualTo(same);

    Prediction first = model.step(new int[] {3}, List.of(before)).getFirst();
    Prediction other = model.prefill(new int[] {4, 5}, before);
    List<Prediction> forks = model.step(new int[] {3, 3}, List.of(before, before));
    Prediction again = model.step(new int[] {3}, List.of(before)).getFirst();

    assertThat(before).isEqualTo(same);
    assertThat(again.logits()).containsExactly(first.logits());
    assertThat(again.state()).isEqualTo(first.state());
    assertThat(other.state()).isNotEqualTo(first.state());
    for (Prediction fork : forks) {
      assertThat(fork.logits()).containsExactly(first.logits(), CLOSE);
    }
  }

  @Test
  void a_forward_pass_reads_its_state_and_never_writes_it() {
    try (var _ = new PointerScope()) {
      Tensor tokens = Tensors.of(ids(12), 2, 6);
      var state = model.forward(tokens, model.initialState(2), SequenceLayout.FULL).state();
      List<double[]> before = state.tensors().stream().map(Tensors::doubles).toList();
      model.forward(tokens, state, SequenceLayout.FULL).logits().sum().backward();
      for (int i = 0; i < before.size(); i++) {
        assertThat(Tensors.doubles(state.tensors().get(i))).containsExactly(before.get(i));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, VOCAB, Integer.MAX_VALUE, Integer.MIN_VALUE})
  void ids_outside_the_vocabulary_are_refused(int id) {
    String message = "token id (" + id + ") must be in [0, vocabSize (11))";
    assertThatThrownBy(() -> model.prefill(new int[] {1, id}, model.initialState()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(message);
    assertThatThrownBy(() -> model.step(new int[] {id}, List.of(model.initialState())))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(message);
  }

  @Test
  void nothing_to_read_is_refused() {
    assertThatThrownBy(() -> model.prefill(new int[0], model.initialState()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("prefill needs at least one token id");
    assertThatThrownBy(() -> model.step(new int[0], List.of()))
        .hasMessage("ids (0) and states (0) must be equally many, at least one");
    assertThatThrownBy(() -> model.step(new int[2], List.of(model.initialState())))
        .hasMessage("ids (2) and states (1) must be equally many, at least one");
  }

  @Test
  void the_state_of_another_model_is_refused_naming_both_sides() {
    var stack = config(4, List.of(1)).blockStack();
    var wider = BlockStackConfig.of(2, 32, List.of(1));
    try (var kinds = new XlstmLanguageModel(config(4, List.of(0)));
        var kernels = new XlstmLanguageModel(config(2, List.of(1)));
        var widths = new XlstmLanguageModel(PaperModelConfig.of(VOCAB, wider));
        var deeper =
            new XlstmLanguageModel(
                PaperModelConfig.of(
                    VOCAB,
                    new BlockStackConfig(
                        3,
                        stack.embeddingDim(),
                        32,
                        List.of(1),
                        stack.mlstmBlock(),
                        stack.slstmBlock(),
                        true,
                        false,
                        0.0)))) {
      assertRefused(kinds.initialState(), "state blocks.0.conv has shape [3, 16]", "needs [3, 32]");
      assertRefused(
          kernels.initialState(), "state blocks.0.conv has shape [1, 32]", "needs [3, 32]");
      assertRefused(widths.initialState(), "has shape [3, 64]", "needs [3, 32]");
      assertRefused(deeper.initialState(), "a state has 13 parts", "needs 9", "blocks.2.conv");
      assertRefused(new ModelState(new LinkedHashMap<>(), 0), "a state has 0 parts", "needs 9");
      assertThatThrownBy(() -> deeper.step(new int[] {1}, List.of(model.initialState())))
          .hasMessageContaining("a state has 9 parts, but this model needs 13");
      try (var _ = new PointerScope()) {
        Tensor tokens = Tensors.of(new int[] {1, 2}, 1, 2);
        assertThatThrownBy(() -> model.forward(tokens, deeper.initialState(1), SequenceLayout.FULL))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessage("the state is one of 3 blocks, but this stack has 2");
        assertThatThrownBy(() -> model.forward(tokens, model.initialState(2), SequenceLayout.FULL))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("= [1, 3, 32], but has [2, 3, 32]");
        assertThatThrownBy(() -> model.forward(tokens, kinds.initialState(1), SequenceLayout.FULL))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining(
                "the block is an mLSTM block, but its state is of an sLSTM block");
      }
    }
  }

  private void assertRefused(ModelState foreign, String... parts) {
    assertThatThrownBy(() -> model.prefill(new int[] {1}, foreign))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContainingAll(parts);
  }

  @Test
  void shapes_that_do_not_fit_are_refused_by_name() {
    try (var _ = new PointerScope()) {
      assertThatThrownBy(() -> model.forward(Tensors.of(new int[] {1, 2}, 2)))
          .hasMessageContaining("ids must have shape (B, S)");
      Tensor tokens = Tensors.of(new int[] {1, 2}, 1, 2);
      var layout = SequenceLayout.ofStarts(Tensors.of(new boolean[] {true}, 1, 1));
      assertThatThrownBy(() -> model.forward(tokens, model.initialState(1), layout))
          .hasMessageContaining("starts must have shape (B, S) = [1, 2], but has [1, 1]");
      Tensor logits = model.forward(tokens);
      assertThatThrownBy(() -> Losses.crossEntropy(logits, Tensors.of(new int[] {1}, 1, 1)))
          .hasMessageContaining("targets must have shape (B, S) = [1, 2], but has [1, 1]");
    }
  }

  @Test
  void a_forward_pass_without_a_scope_says_what_is_missing() {
    Tensor tokens = Tensors.of(new int[] {1, 2}, 1, 2);
    assertThatThrownBy(() -> model.forward(tokens))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("open a PointerScope on this thread");
    tokens.close();
  }

  @Test
  void dropout_is_random_while_training_and_gone_afterwards() {
    var stack = config(4, List.of(1)).blockStack().withDropout(0.3);
    var config = new PaperModelConfig(VOCAB, stack, false, false, true);
    try (var _ = new PointerScope();
        var dropping = new XlstmLanguageModel(config)) {
      Tensor tokens = Tensors.of(ids(20), 2, 10);
      Tensor quiet = dropping.forward(tokens);
      dropping.training(true);
      Torch.seed(5);
      Tensor first = dropping.forward(tokens);
      Tensor second = dropping.forward(tokens);
      Torch.seed(5);
      Tensor repeated = dropping.forward(tokens);
      dropping.training(false);
      Tensor quietAgain = dropping.forward(tokens);

      assertThat(Golden.largestDifference(first, second)).isGreaterThan(1e-3);
      assertThat(Golden.largestDifference(first, quiet)).isGreaterThan(1e-3);
      Golden.assertClose("the same seed", repeated, first, 0);
      Golden.assertClose("not training", quietAgain, quiet, 0);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"Double", "BFloat16"})
  void other_parameter_types_run_train_and_step(String typeName) {
    ScalarType type = ScalarType.valueOf(typeName);
    try (var _ = new PointerScope();
        var typed = new XlstmLanguageModel(config(4, List.of(1)), Torch.device("cpu"), type)) {
      Tensor tokens = Tensors.of(ids(8), 1, 8);
      Tensor logits = typed.forward(tokens);
      assertThat(logits.scalar_type().intern()).isEqualTo(type);
      for (BlockState block : typed.initialState(1).blocks()) {
        for (BlockState.Named part : block.named()) {
          ScalarType narrowest = part.name().equals("conv") ? type : ScalarType.Float;
          assertThat(part.tensor().scalar_type().intern())
              .as(part.name())
              .isEqualTo(type == ScalarType.Double ? type : narrowest);
        }
      }
      Losses.crossEntropy(logits, tokens).backward();
      for (Tensor parameter : typed.parameters().byName().values()) {
        Gradients.assertFinite("gradient", parameter.grad());
      }
      float[][] expected = forward(typed, ids(8));
      Prediction prediction = typed.prefill(Arrays.copyOf(ids(8), 5), typed.initialState());
      prediction = typed.step(new int[] {ids(8)[5]}, List.of(prediction.state())).getFirst();
      // bfloat16 keeps 8 bits: two roundings of numbers of size one
      float tolerance = type == ScalarType.Double ? 1e-6f : 3e-2f;
      assertThat(prediction.logits()).containsExactly(expected[5], within(tolerance));
    }
  }

  @Test
  void threads_may_share_a_model() throws Exception {
    int[] ids = ids(12);
    Prediction expected = model.prefill(ids, model.initialState());
    try (var threads = Executors.newFixedThreadPool(4)) {
      var runs = new ArrayList<Future<Prediction>>();
      for (int i = 0; i < 8; i++) {
        runs.add(threads.submit(() -> model.prefill(ids, model.initialState())));
      }
      for (Future<Prediction> run : runs) {
        assertThat(run.get().logits()).containsExactly(expected.logits());
        assertThat(run.get().state()).isEqualTo(expected.state());
      }
    }
  }

  @Test
  void closing_twice_is_harmless() {
    model.close();
    model.close();
  }
}
