package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.bytedeco.pytorch.global.torch.rand;
import static org.bytedeco.pytorch.global.torch.randn;
import static org.bytedeco.pytorch.global.torch.zeros;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Blocks that are computed again in the backward pass against blocks that keep everything.
class ActivationCheckpointingTest {
  private static final int VOCABULARY = 40;

  private static ModelConfig paper(int blocks, int dim, double dropout) {
    BlockStackConfig plain = BlockStackConfig.of(blocks, dim, List.of(1));
    return PaperModelConfig.of(
        VOCABULARY,
        new BlockStackConfig(
            blocks,
            dim,
            plain.contextLength(),
            plain.slstmAt(),
            plain.mlstmBlock(),
            plain.slstmBlock(),
            plain.addPostBlocksNorm(),
            plain.bias(),
            dropout));
  }

  private static ModelConfig config(String family, double dropout) {
    return family.equals("large")
        ? LargeModelConfig.of(VOCABULARY, 32, 3, 2)
        : paper(3, 32, dropout);
  }

  private static SequenceLayout layout(String kind, int rows, int length) {
    boolean[] starts = new boolean[rows * length];
    starts[2] = true;
    starts[length + 5] = true;
    Tensor lengths = Tensors.of(new int[] {length, 1, length / 2}, 3);
    return switch (kind) {
      case "lengths" -> SequenceLayout.ofLengths(lengths, length);
      case "starts" -> SequenceLayout.ofStarts(Tensors.of(starts, rows, length));
      case "both" ->
          new SequenceLayout(
              SequenceLayout.ofLengths(lengths, length).valid(), Tensors.of(starts, rows, length));
      default -> SequenceLayout.FULL;
    };
  }

  /// Two windows in one graph, so that gradients go through the carried state too: the loss, then
  /// every gradient, that of the state before the first window included.
  private static Map<String, Tensor> pass(
      XlstmLanguageModel model, Tensor ids, SequenceLayout layout, boolean recompute) {
    model.activationCheckpointing(recompute);
    model.parameters().zeroGradients();
    Torch.seed(7);
    long rows = ids.size(0);
    var before = new ArrayList<Tensor>();
    var blocks = new ArrayList<BlockState>();
    for (BlockState block : model.initialState(rows).blocks()) {
      var parts = new ArrayList<Tensor>();
      for (BlockState.Named part : block.named()) {
        Tensor leaf = new Tensor(randn(Ops.shape(part.tensor())).type_as(part.tensor()));
        boolean stabilizer = part.name().equals("m");
        parts.add(stabilizer ? leaf.abs() : new Tensor(leaf.abs().set_requires_grad(true)));
        before.add(parts.getLast());
      }
      blocks.add(block.with(parts));
    }
    var first = model.loss(ids, ids, new BlockStack.State(blocks), layout);
    var second = model.loss(ids, ids, first.state(), SequenceLayout.FULL);
    Tensor loss = first.value().add(second.value());
    for (BlockState block : second.state().blocks()) {
      for (BlockState.Named part : block.named()) {
        if (!part.name().equals("m")) { // detached in the mLSTM
          loss = loss.add(Ops.times(part.tensor().sum(), 0.01));
        }
      }
    }
    loss.backward();
    var gathered = new TreeMap<String, Tensor>();
    gathered.put("loss", loss.detach());
    for (int i = 0; i < before.size(); i++) {
      if (before.get(i).requires_grad()) {
        gathered.put("state " + i, Gradients.of(before.get(i)).clone());
      }
    }
    model
        .parameters()
        .byName()
        .forEach((name, parameter) -> gathered.put(name, parameter.grad().clone()));
    gathered.put("the stream after it", rand(4));
    return gathered;
  }

  private static void compare(Map<String, Tensor> actual, Map<String, Tensor> expected, double to) {
    assertThat(actual.keySet()).isEqualTo(expected.keySet());
    expected.forEach((name, value) ->
        Golden.assertClose(
            name,
            Ops.present(actual.get(name)),
            value,
            to * Math.max(1, Gradients.largest(value))));
  }

  @ParameterizedTest(name = "{0}, dropout {1}, {2}")
  @CsvSource({
    "paper, 0, full",
    "paper, 0.3, full",
    "paper, 0.3, both",
    "paper, 0, lengths",
    "paper, 0, starts",
    "large, 0, full",
    "large, 0, both",
  })
  void loss_gradients_and_random_stream_are_those_without(
      String family, double dropout, String kind) {
    try (var _ = new PointerScope();
        var model =
            new XlstmLanguageModel(
                config(family, dropout), Torch.device("cpu"), ScalarType.Double)) {
      model.backend(Backend.LIBTORCH);
      model.training(true);
      Tensor ids = Tensors.of(Draws.float64(3).ids(3 * 70, VOCABULARY), 3, 70);
      SequenceLayout layout = layout(kind, 3, 70);
      Map<String, Tensor> expected = pass(model, ids, layout, false);
      // gradients of two windows add up in another order
      compare(pass(model, ids, layout, true), expected, 1e-12);
    }
  }

  @ParameterizedTest(name = "backend {0}, {1}")
  @CsvSource({"LIBTORCH, paper", "FUSED, paper", "LIBTORCH, large", "FUSED, large"})
  void float32_agrees_too_on_every_backend(Backend backend, String family) {
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(config(family, 0.2))) {
      model.backend(backend);
      model.training(true);
      Tensor ids = Tensors.of(Draws.float64(4).ids(3 * 33, VOCABULARY), 3, 33);
      Map<String, Tensor> expected = pass(model, ids, SequenceLayout.FULL, false);
      compare(pass(model, ids, SequenceLayout.FULL, true), expected, 1e-6);
    }
  }

  @Test
  void a_whole_fused_block_is_left_to_recompute_by_itself() {
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(paper(2, 32, 0))) {
      Tensor ids = Tensors.of(Draws.float64(4).ids(2 * 9, VOCABULARY), 2, 9);
      Map<String, Tensor> expected = pass(model, ids, SequenceLayout.FULL, false);
      compare(pass(model, ids, SequenceLayout.FULL, true), expected, 0);
    }
  }

  @ParameterizedTest(name = "gradient for x: {0}")
  @ValueSource(booleans = {true, false})
  void what_enters_may_want_no_gradient(boolean wanted) {
    try (var _ = new PointerScope();
        var parameters = new Parameters(Torch.device("cpu"), ScalarType.Double)) {
      var stack = new BlockStack(parameters.at("stack"), BlockStackConfig.of(2, 16, List.of(0)));
      stack.backend(Backend.LIBTORCH);
      Tensor x = new Tensor(randn(new long[] {2, 5, 16}, new TensorOptions(ScalarType.Double)));
      var gradients = new ArrayList<List<Tensor>>();
      for (boolean on : new boolean[] {false, true}) {
        stack.activationCheckpointing(on);
        parameters.zeroGradients();
        Tensor leaf = new Tensor(x.clone().set_requires_grad(wanted));
        stack
            .forward(leaf, stack.initialState(2), SequenceLayout.FULL)
            .x()
            .square()
            .sum()
            .backward();
        var all = new ArrayList<Tensor>();
        parameters.byName().values().forEach(parameter -> all.add(parameter.grad().clone()));
        if (wanted) {
          all.add(leaf.grad());
        } else {
          assertThat(leaf.grad().defined()).isFalse();
        }
        gradients.add(all);
      }
      for (int i = 0; i < gradients.getFirst().size(); i++) {
        Tensor expected = gradients.getFirst().get(i);
        Golden.assertCloseRelative("gradient " + i, gradients.getLast().get(i), expected, 1e-12);
      }
    }
  }

  @Test
  void the_random_stream_goes_on_alike_whether_or_not_a_backward_pass_ran() {
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(paper(2, 16, 0.5))) {
      model.backend(Backend.LIBTORCH);
      model.training(true);
      model.activationCheckpointing(true);
      Tensor ids = Tensors.of(Draws.float64(5).ids(20, VOCABULARY), 2, 10);
      float[][] after = new float[2][];
      for (int run = 0; run < 2; run++) {
        Torch.seed(9);
        Tensor loss = Losses.crossEntropy(model.forward(ids), ids);
        if (run == 1) {
          loss.backward();
        }
        after[run] = Tensors.floats(rand(8));
      }
      assertThat(after[1]).containsExactly(after[0]);
    }
  }

  /// Live bytes between forward and backward of a deep, narrow model over a long sequence.
  private static long bytesKept(boolean recompute) {
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(paper(8, 32, 0))) {
      model.backend(Backend.LIBTORCH);
      model.activationCheckpointing(recompute);
      Tensor ids = Tensors.of(Draws.float64(6).ids(2 * 512, VOCABULARY), 2, 512);
      Scopes.scopedTensor(() -> model.forward(ids)); // what libtorch allocates once
      long before = NativeMemory.settled();
      Tensor logits = Scopes.scopedTensor(() -> model.forward(ids));
      assertThat(logits.requires_grad()).isTrue();
      return NativeMemory.inUse() - before;
    }
  }

  @Test
  void a_deep_model_keeps_a_fraction_of_the_memory() {
    long everything = bytesKept(false);
    long inputs = bytesKept(true);
    // eight inputs of 2 x 512 x 32 floats are 1 MB, the logits and the last norm half as much
    assertThat(inputs).isBetween(1L << 20, 4L << 20);
    assertThat(everything).isGreaterThan(8 * inputs);
  }

  @Test
  void memory_stays_flat_over_many_rounds() {
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(paper(2, 16, 0.1))) {
      model.backend(Backend.LIBTORCH);
      model.training(true);
      model.activationCheckpointing(true);
      Tensor ids = Tensors.of(Draws.float64(8).ids(2 * 6, VOCABULARY), 2, 6);
      long before = 0;
      long handles = 0;
      for (int round = 0; round < 600; round++) {
        try (var _ = new PointerScope()) {
          model.parameters().zeroGradients();
          Losses.crossEntropy(model.forward(ids), ids).backward();
        }
        if (round == 200) {
          before = NativeMemory.settled();
          handles = Pointer.totalCount();
        }
      }
      long growth = NativeMemory.settled(handles) - before;
      assertThat(Pointer.totalCount()).isLessThanOrEqualTo(handles);
      // the smallest tensor takes some 900 bytes, one leaked per round would be more than this
      assertThat(growth).isLessThan(400 * 500);
    }
  }

  @Test
  void a_model_that_changed_or_closed_between_the_passes_is_an_exception_and_no_crash() {
    try (var _ = new PointerScope()) {
      var model = new XlstmLanguageModel(paper(2, 16, 0.1));
      model.backend(Backend.LIBTORCH);
      model.activationCheckpointing(true);
      Tensor ids = Tensors.of(Draws.float64(8).ids(2 * 6, VOCABULARY), 2, 6);
      Tensor changed = Losses.crossEntropy(model.forward(ids), ids);
      model.training(true);
      assertThatThrownBy(changed::backward)
          .hasMessageContaining("training false forward, but has backend libtorch");
      Losses.crossEntropy(model.forward(ids), ids).backward(); // and the next one works
      Tensor closed = Losses.crossEntropy(model.forward(ids), ids);
      model.close();
      assertThatThrownBy(closed::backward).hasMessageContaining("the model was closed");
    }
  }

  @Test
  void without_a_graph_nothing_is_tied() {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard();
        var model = new XlstmLanguageModel(paper(2, 16, 0))) {
      model.backend(Backend.LIBTORCH);
      model.activationCheckpointing(true);
      assertThat(model.forward(zeros(1, 3)).requires_grad()).isFalse();
    }
  }
}
