package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.bytedeco.pytorch.global.torch.randn;
import static org.bytedeco.pytorch.global.torch.zeros;

import io.xlstm4j.core.config.BlockStackConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Stacks on the block kernels against the same stacks of libtorch operations: outputs, states and
/// every gradient.
class FusedBlocksTest {
  /// Float32 sums in another order, and other approximations of exp and erf.
  private static final double TOLERANCE = 1e-4;

  private static BlockStackConfig stack(
      int dim, int blocks, List<Integer> slstmAt, double dropout) {
    BlockStackConfig plain = BlockStackConfig.of(blocks, dim, slstmAt);
    return new BlockStackConfig(
        blocks,
        dim,
        plain.contextLength(),
        slstmAt,
        plain.mlstmBlock(),
        plain.slstmBlock(),
        plain.addPostBlocksNorm(),
        plain.bias(),
        dropout);
  }

  @ParameterizedTest(name = "{0} rows of {1}, width {2}, sLSTM {3}, {4}")
  @CsvSource({
    "1, 1, 16, false, full",
    "1, 1, 16, true, full",
    "3, 9, 16, false, full",
    "3, 9, 16, true, full",
    "2, 130, 32, false, full",
    "5, 67, 48, true, full",
    "3, 9, 32, false, lengths",
    "3, 9, 32, true, lengths",
    "3, 9, 32, false, starts",
    "3, 9, 32, true, starts",
  })
  void a_stack_gives_what_libtorch_gives(
      int batch, int length, int dim, boolean slstm, String kind) {
    List<Integer> slstmAt = slstm ? List.of(0) : List.of();
    try (var _ = new PointerScope();
        var a = Parameters.onCpu();
        var b = Parameters.onCpu()) {
      Torch.seed(batch * 100L + length);
      var fused = new BlockStack(a.at("stack"), stack(dim, 2, slstmAt, 0));
      var libtorch = new BlockStack(b.at("stack"), stack(dim, 2, slstmAt, 0));
      libtorch.backend(Backend.LIBTORCH);
      shake(a, b);
      boolean[] starts = new boolean[batch * length];
      starts[Math.min(2, starts.length - 1)] = true;
      SequenceLayout layout =
          switch (kind) {
            case "lengths" -> SequenceLayout.ofLengths(Tensors.of(new int[] {9, 1, 4}, 3), length);
            case "starts" -> SequenceLayout.ofStarts(Tensors.of(starts, batch, length));
            default -> SequenceLayout.FULL;
          };
      Tensor x = randn(batch, length, dim);
      // a warm state, through which gradients go too
      BlockStack.State before;
      try (var _ = new NoGradGuard()) {
        before =
            libtorch
                .forward(randn(batch, 5, dim), libtorch.initialState(batch), SequenceLayout.FULL)
                .state();
      }
      Run actual = run(fused, x, before, layout);
      Run expected = run(libtorch, x, before, layout);
      for (int i = 0; i < expected.outputs.size(); i++) {
        close("output " + i, actual.outputs.get(i), expected.outputs.get(i));
      }
      for (int i = 0; i < expected.leaves.size(); i++) {
        close("gradient " + i, actual.leaves.get(i).grad(), expected.leaves.get(i).grad());
      }
      for (Map.Entry<String, Tensor> parameter : b.byName().entrySet()) {
        close(
            parameter.getKey(),
            Ops.present(a.byName().get(parameter.getKey())).grad(),
            parameter.getValue().grad());
      }
    }
  }

  private static void close(String name, Tensor actual, Tensor expected) {
    if (expected.defined()) {
      Golden.assertCloseRelative(name, actual, expected, TOLERANCE);
    }
  }

  /// Parameters that start at zero or one would hide mistakes.
  private static void shake(Parameters a, Parameters b) {
    try (var _ = new NoGradGuard()) {
      a.byName()
          .forEach((name, parameter) -> {
            parameter.add_(Ops.times(randn(Ops.shape(parameter)), 0.2));
            Ops.present(b.byName().get(name)).copy_(parameter);
          });
    }
  }

  private record Run(List<Tensor> outputs, List<Tensor> leaves) {}

  private static Run run(
      BlockStack stack, Tensor x, BlockStack.State before, SequenceLayout layout) {
    Torch.seed(7);
    var leaves = new ArrayList<Tensor>();
    Tensor in = leaf(x, leaves);
    var state =
        new BlockStack.State(before.blocks().stream().map(block -> leaves(block, leaves)).toList());
    BlockStack.Output output = stack.forward(in, state, layout);
    var outputs = new ArrayList<Tensor>();
    outputs.add(layout.padded(output.x(), 1));
    output.state().blocks().forEach(block -> outputs.addAll(block.tensors()));
    Tensor loss = zeros(1);
    for (Tensor out : outputs) {
      Tensor weight = randn(Ops.shape(out));
      if (out.requires_grad()) {
        loss = loss.add(out.mul(weight).sum());
      }
    }
    loss.backward();
    return new Run(outputs, leaves);
  }

  /// All parts but the stabilizer of the mLSTM, which is detached by definition.
  private static BlockState leaves(BlockState block, List<Tensor> leaves) {
    var parts = new ArrayList<Tensor>();
    for (BlockState.Named part : block.named()) {
      boolean detached = block instanceof MlstmBlock.State && part.name().equals("m");
      parts.add(detached ? part.tensor() : leaf(part.tensor(), leaves));
    }
    return block.with(parts);
  }

  private static Tensor leaf(Tensor x, List<Tensor> leaves) {
    Tensor leaf = new Tensor(x.detach().clone().set_requires_grad(true));
    leaves.add(leaf);
    return leaf;
  }

  @ParameterizedTest(name = "sLSTM {0}")
  @CsvSource({"false", "true"})
  void dropout_is_part_of_the_kernel_and_of_its_gradient(boolean slstm) {
    // with the masks of one seed the loss is a smooth function of x: differences must agree
    try (var _ = new PointerScope();
        var parameters = Parameters.onCpu()) {
      Torch.seed(3);
      var stack =
          new BlockStack(parameters.at("stack"), stack(16, 1, slstm ? List.of(0) : List.of(), 0.4));
      stack.training(true);
      Tensor x = randn(2, 3, 16);
      Tensor direction = randn(2, 3, 16);
      Tensor weight = randn(2, 3, 16);
      var leaf = new Tensor(x.clone().set_requires_grad(true));
      dropped(stack, leaf, weight).backward();
      double expected = leaf.grad().mul(direction).sum().item_double();
      double step = 1e-3;
      double up;
      double down;
      try (var _ = new NoGradGuard()) {
        up = dropped(stack, x.add(Ops.times(direction, step)), weight).item_double();
        down = dropped(stack, x.sub(Ops.times(direction, step)), weight).item_double();
      }
      assertThat((up - down) / (2 * step))
          .isCloseTo(expected, within(0.01 * Math.abs(expected) + 0.02));
      try (var _ = new NoGradGuard()) {
        stack.training(false);
        double without = dropped(stack, x, weight).item_double();
        stack.training(true);
        assertThat(dropped(stack, x, weight).item_double()).isNotCloseTo(without, within(1e-3));
      }
    }
  }

  private static Tensor dropped(BlockStack stack, Tensor x, Tensor weight) {
    Torch.seed(11);
    return stack.forward(x, stack.initialState(2), SequenceLayout.FULL).x().mul(weight).sum();
  }

  @Test
  void two_backward_passes_add_up_in_the_parameters() {
    try (var _ = new PointerScope();
        var parameters = Parameters.onCpu()) {
      var stack = new BlockStack(parameters.at("stack"), stack(16, 2, List.of(1), 0));
      Tensor x = randn(2, 3, 16);
      for (int i = 0; i < 2; i++) {
        stack.forward(x, stack.initialState(2), SequenceLayout.FULL).x().square().sum().backward();
      }
      var twice =
          parameters.byName().values().stream().map(p -> Ops.times(p.grad(), 0.5).clone()).toList();
      parameters.zeroGradients();
      stack.forward(x, stack.initialState(2), SequenceLayout.FULL).x().square().sum().backward();
      int i = 0;
      for (Tensor parameter : parameters.byName().values()) {
        Golden.assertCloseRelative("parameter " + i, twice.get(i++), parameter.grad(), 1e-6);
      }
    }
  }

  @Test
  void a_backward_pass_after_the_model_was_closed_is_an_exception_and_no_crash() {
    try (var _ = new PointerScope()) {
      var parameters = Parameters.onCpu();
      var stack = new BlockStack(parameters.at("stack"), stack(16, 1, List.of(), 0));
      Tensor loss =
          stack
              .forward(
                  new Tensor(randn(1, 2, 16).set_requires_grad(true)),
                  stack.initialState(1),
                  SequenceLayout.FULL)
              .x()
              .sum();
      parameters.close();
      assertThatThrownBy(loss::backward).hasMessageContaining("the model was closed");
    }
  }
}
