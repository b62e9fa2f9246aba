package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.bytedeco.pytorch.global.torch.randn;
import static org.bytedeco.pytorch.global.torch.zeros;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// [Slstm] and [Mlstm] on their kernels against the same layers of libtorch operations: outputs,
/// states and every gradient, by steps and by sequences.
class FusedRecurrentLayersTest {
  /// Float32 sums in another order, and other approximations of exp and erf.
  private static final double TOLERANCE = 1e-4;

  /// Either layer, so that a test is written once.
  private interface Layer extends AutoCloseable {
    Parameters parameters();

    void backend(Backend backend);

    Result step(Tensor input, Object state);

    Result forward(Tensor sequence, Object state, SequenceLayout layout);

    /// A state of given parts; null for the initial one.
    Object state(List<Tensor> parts);

    Object initialState(long batch);

    List<Tensor> parts(Object state);

    Object detached(Object state);

    @Override
    void close();
  }

  private record Result(Tensor output, Object state) {}

  private record OfSlstm(Slstm layer) implements Layer {
    @Override
    public Parameters parameters() {
      return layer.parameters();
    }

    @Override
    public void backend(Backend backend) {
      layer.backend(backend);
    }

    @Override
    public Result step(Tensor input, Object state) {
      Slstm.Output out = layer.step(input, (Slstm.State) state);
      return new Result(out.output(), out.state());
    }

    @Override
    public Result forward(Tensor sequence, Object state, SequenceLayout layout) {
      Slstm.Output out = layer.forward(sequence, (Slstm.State) state, layout);
      return new Result(out.output(), out.state());
    }

    @Override
    public Object state(List<Tensor> p) {
      return new Slstm.State(p.get(0), new SlstmCell.State(p.get(1), p.get(2), p.get(3), p.get(4)));
    }

    @Override
    public Object initialState(long batch) {
      return layer.initialState(batch);
    }

    @Override
    public List<Tensor> parts(Object state) {
      var s = (Slstm.State) state;
      SlstmCell.State cell = s.cell();
      return List.of(s.conv(), cell.y(), cell.c(), cell.n(), cell.m());
    }

    @Override
    public Object detached(Object state) {
      return ((Slstm.State) state).detached();
    }

    @Override
    public void close() {
      layer.close();
    }
  }

  private record OfMlstm(Mlstm layer) implements Layer {
    @Override
    public Parameters parameters() {
      return layer.parameters();
    }

    @Override
    public void backend(Backend backend) {
      layer.backend(backend);
    }

    @Override
    public Result step(Tensor input, Object state) {
      Mlstm.Output out = layer.step(input, (Mlstm.State) state);
      return new Result(out.output(), out.state());
    }

    @Override
    public Result forward(Tensor sequence, Object state, SequenceLayout layout) {
      Mlstm.Output out = layer.forward(sequence, (Mlstm.State) state, layout);
      return new Result(out.output(), out.state());
    }

    @Override
    public Object state(List<Tensor> p) {
      return new Mlstm.State(p.get(0), new MlstmCell.State(p.get(1), p.get(2), p.get(3)));
    }

    @Override
    public Object initialState(long batch) {
      return layer.initialState(batch);
    }

    /// Without m, which is detached by definition.
    @Override
    public List<Tensor> parts(Object state) {
      var s = (Mlstm.State) state;
      MlstmCell.State cell = s.cell();
      return List.of(s.conv(), cell.c(), cell.n(), cell.m());
    }

    @Override
    public Object detached(Object state) {
      return ((Mlstm.State) state).detached();
    }

    @Override
    public void close() {
      layer.close();
    }
  }

  private static Layer layer(String kind, int dim, int headDim, int heads) {
    return kind.equals("slstm")
        ? new OfSlstm(new Slstm(dim, headDim, heads))
        : new OfMlstm(new Mlstm(dim, headDim, heads));
  }

  /// a layer on its kernel and on libtorch with the same parameters, none of them at its start.
  private record Pair(Layer fused, Layer libtorch) implements AutoCloseable {
    static Pair of(String kind, int dim, int headDim, int heads) {
      Layer fused = layer(kind, dim, headDim, heads);
      Layer libtorch = layer(kind, dim, headDim, heads);
      libtorch.backend(Backend.LIBTORCH);
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        fused
            .parameters()
            .byName()
            .forEach((name, parameter) -> {
              parameter.add_(Ops.times(randn(Ops.shape(parameter)), 0.2));
              Ops.present(libtorch.parameters().byName().get(name)).copy_(parameter);
            });
      }
      return new Pair(fused, libtorch);
    }

    void assertSameGradients(double tolerance) {
      for (Map.Entry<String, Tensor> entry : libtorch.parameters().byName().entrySet()) {
        Tensor actual = Ops.present(fused.parameters().byName().get(entry.getKey()));
        assertNear(
            "gradient of " + entry.getKey(), actual.grad(), entry.getValue().grad(), tolerance);
      }
    }

    @Override
    public void close() {
      fused.close();
      libtorch.close();
    }
  }

  private static void assertNear(String name, Tensor actual, Tensor expected, double tolerance) {
    if (expected.defined()) {
      double scale = expected.abs().max().item_double();
      if (scale > Float.MIN_NORMAL) { // the kernels' exp gives no subnormal numbers
        Golden.assertCloseRelative(name, actual, expected, tolerance);
      } else {
        assertThat(actual.abs().max().item_double()).as(name).isLessThan(Float.MIN_NORMAL);
      }
    } else {
      assertThat(actual.defined() && actual.abs().max().item_double() > 0).as(name).isFalse();
    }
  }

  private static Tensor leaf(Tensor x) {
    return new Tensor(x.detach().clone().set_requires_grad(true));
  }

  /// Parts that gradients are taken of: not the stabilizer of the mLSTM.
  private static boolean isDetached(Layer layer, int part) {
    return layer instanceof OfMlstm && part == 3;
  }

  private static List<Tensor> leaves(Layer layer, List<Tensor> parts) {
    var leaves = new ArrayList<Tensor>();
    for (int i = 0; i < parts.size(); i++) {
      leaves.add(isDetached(layer, i) ? parts.get(i) : leaf(parts.get(i)));
    }
    return leaves;
  }

  /// A state that has seen something, the same for both.
  private static List<Tensor> warm(Layer layer, int batch, int dim) {
    try (var _ = new NoGradGuard()) {
      return layer.parts(
          layer
              .forward(randn(batch, 5, dim), layer.initialState(batch), SequenceLayout.FULL)
              .state());
    }
  }

  /// The results of a program made of a layer: all that is to be compared, and leaves.
  private record Run(List<Tensor> outputs, List<Tensor> leaves) {
    /// One random loss over all outputs, the same for every run.
    void backward() {
      Torch.seed(7);
      Tensor loss = zeros(1);
      for (Tensor out : outputs) {
        Tensor weight = randn(Ops.shape(out));
        if (out.requires_grad()) {
          loss = loss.add(out.mul(weight).sum());
        }
      }
      loss.backward();
    }

    static void assertSame(Run actual, Run expected, double tolerance) {
      for (int i = 0; i < expected.outputs.size(); i++) {
        assertNear("output " + i, actual.outputs.get(i), expected.outputs.get(i), tolerance);
      }
      for (int i = 0; i < expected.leaves.size(); i++) {
        if (expected.leaves.get(i).requires_grad()) {
          assertNear(
              "gradient of leaf " + i,
              actual.leaves.get(i).grad(),
              expected.leaves.get(i).grad(),
              tolerance);
        }
      }
    }
  }

  private interface Program {
    Run run(Layer layer);
  }

  private static void compare(Pair pair, Program program) {
    compare(pair, program, TOLERANCE);
  }

  private static void compare(Pair pair, Program program, double tolerance) {
    Run actual = program.run(pair.fused);
    Run expected = program.run(pair.libtorch);
    actual.backward();
    expected.backward();
    Run.assertSame(actual, expected, tolerance);
    pair.assertSameGradients(tolerance);
  }

  @ParameterizedTest(name = "{0}, {1} rows of {2}, width {3}, {5} heads of {4}, {6}")
  @CsvSource({
    "slstm, 1, 1, 1, 1, 1, full",
    "mlstm, 1, 1, 1, 1, 1, full",
    "slstm, 1, 1, 8, 15, 1, full",
    "mlstm, 1, 1, 8, 15, 1, full",
    "slstm, 3, 9, 17, 16, 2, full",
    "mlstm, 3, 9, 17, 16, 2, full",
    "slstm, 5, 67, 16, 17, 3, full",
    "mlstm, 5, 67, 16, 17, 3, full",
    "slstm, 2, 300, 20, 4, 4, full", // groups of rows
    "mlstm, 2, 300, 20, 4, 4, full",
    "slstm, 3, 9, 12, 8, 2, lengths",
    "mlstm, 3, 9, 12, 8, 2, lengths",
    "slstm, 3, 9, 12, 8, 2, starts",
    "mlstm, 3, 9, 12, 8, 2, starts",
  })
  void a_sequence_gives_what_libtorch_gives(
      String kind, int batch, int length, int dim, int headDim, int heads, String layoutKind) {
    Torch.seed(batch * 100L + length);
    try (var _ = new PointerScope();
        var pair = Pair.of(kind, dim, headDim, heads)) {
      boolean[] starts = new boolean[batch * length];
      starts[Math.min(2, starts.length - 1)] = true;
      SequenceLayout layout =
          switch (layoutKind) {
            case "lengths" -> SequenceLayout.ofLengths(Tensors.of(new int[] {9, 1, 4}, 3), length);
            case "starts" -> SequenceLayout.ofStarts(Tensors.of(starts, batch, length));
            default -> SequenceLayout.FULL;
          };
      Tensor x = randn(batch, length, dim);
      List<Tensor> before = warm(pair.libtorch, batch, dim);
      compare(
          pair,
          layer -> {
            Tensor in = leaf(x);
            List<Tensor> leaves = leaves(layer, before);
            Result result = layer.forward(in, layer.state(leaves), layout);
            var outputs = new ArrayList<Tensor>(layer.parts(result.state));
            outputs.add(layout.padded(result.output, 1));
            leaves.add(in);
            return new Run(outputs, leaves);
          });
    }
  }

  @ParameterizedTest(name = "{0}, {1} rows, {2} steps, width {3}, {5} heads of {4}")
  @CsvSource({
    "slstm, 1, 1, 1, 1, 1",
    "mlstm, 1, 1, 1, 1, 1",
    "slstm, 3, 8, 17, 16, 2", // as long as the first stretch
    "mlstm, 3, 8, 17, 16, 2",
    "slstm, 3, 9, 17, 16, 2", // and one more
    "mlstm, 3, 9, 17, 16, 2",
    "slstm, 2, 70, 20, 4, 3",
    "mlstm, 2, 70, 20, 4, 3",
  })
  void a_chain_of_steps_gives_what_libtorch_gives(
      String kind, int batch, int length, int dim, int headDim, int heads) {
    Torch.seed(batch * 100L + length);
    try (var _ = new PointerScope();
        var pair = Pair.of(kind, dim, headDim, heads)) {
      Tensor x = randn(batch, length, dim);
      List<Tensor> before = warm(pair.libtorch, batch, dim);
      compare(
          pair,
          layer -> {
            List<Tensor> leaves = leaves(layer, before);
            Object state = layer.state(leaves);
            var outputs = new ArrayList<Tensor>();
            for (int t = 0; t < length; t++) {
              Result next = layer.step(x.select(1, t), state);
              outputs.add(next.output);
              state = next.state;
            }
            outputs.addAll(layer.parts(state));
            return new Run(outputs, leaves);
          });
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void inputs_that_want_gradients_get_them_at_every_step(String kind) {
    Torch.seed(3);
    try (var _ = new PointerScope();
        var pair = Pair.of(kind, 6, 5, 2)) {
      Tensor x = randn(2, 7, 6);
      compare(
          pair,
          layer -> {
            Tensor in = leaf(x);
            Object state = layer.initialState(2);
            var outputs = new ArrayList<Tensor>();
            Tensor fedBack = zeros(2, 6);
            for (int t = 0; t < 7; t++) { // step 3 and 4 by plain inputs, in between
              Tensor input = t == 3 || t == 4 ? x.select(1, t) : in.select(1, t).add(fedBack);
              Result next = layer.step(input, state);
              outputs.add(next.output);
              fedBack = Ops.times(next.output, 0.5); // the output is part of the next input
              state = next.state;
            }
            return new Run(outputs, List.of(in));
          });
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void states_in_the_middle_of_a_chain_may_be_looked_at_forked_and_left_out(String kind) {
    Torch.seed(4);
    try (var _ = new PointerScope();
        var pair = Pair.of(kind, 6, 5, 2)) {
      Tensor x = randn(12, 2, 6);
      compare(
          pair,
          layer -> {
            var states = new ArrayList<Object>(List.of(layer.initialState(2)));
            var outputs = new ArrayList<Tensor>();
            for (int t = 0; t < 10; t++) {
              Result next = layer.step(x.select(0, t), states.getLast());
              states.add(next.state);
              if (t % 3 != 1) { // some outputs nobody needs
                outputs.add(next.output);
              }
              if (t == 4) {
                outputs.addAll(layer.parts(next.state)); // at the tip, then the chain goes on
              }
            }
            outputs.addAll(layer.parts(states.get(3))); // long after
            outputs.add(layer.step(x.select(0, 10), states.get(6)).output); // two ways to go on
            outputs.add(layer.step(x.select(0, 11), states.get(6)).output);
            return new Run(outputs, List.of());
          });
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void a_loss_on_the_last_state_alone_reaches_every_parameter_before_it(String kind) {
    Torch.seed(5);
    try (var _ = new PointerScope();
        var pair = Pair.of(kind, 6, 5, 2)) {
      Tensor x = randn(10, 2, 6);
      compare(
          pair,
          layer -> {
            Object state = layer.initialState(2);
            for (int t = 0; t < 10; t++) {
              state = layer.step(x.select(0, t), state).state;
            }
            return new Run(layer.parts(state), List.of());
          });
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void two_chains_of_one_layer_in_turn_do_not_mix(String kind) {
    Torch.seed(6);
    try (var _ = new PointerScope();
        var pair = Pair.of(kind, 6, 5, 2)) {
      Tensor x = randn(6, 2, 6);
      compare(
          pair,
          layer -> {
            Object a = layer.initialState(2);
            Object b = layer.initialState(2);
            var outputs = new ArrayList<Tensor>();
            for (int t = 0; t < 5; t++) {
              Result nextA = layer.step(x.select(0, t), a);
              Result nextB = layer.step(x.select(0, t + 1), b);
              outputs.add(nextA.output);
              outputs.add(nextB.output);
              a = nextA.state;
              b = nextB.state;
            }
            return new Run(outputs, List.of());
          });
    }
  }

  @ParameterizedTest
  @CsvSource({"slstm, 100", "slstm, -100", "mlstm, 100", "mlstm, -100"})
  void gates_of_a_hundred_stay_finite_and_right(String kind, double gate) {
    Torch.seed(8);
    try (var _ = new PointerScope();
        var pair = Pair.of(kind, 6, 5, 2)) {
      for (Layer layer : List.of(pair.fused, pair.libtorch)) {
        extreme(layer, gate);
      }
      Tensor x = randn(2, 9, 6);
      Program program =
          layer -> {
            Tensor in = leaf(x);
            Result whole = layer.forward(in, layer.initialState(2), SequenceLayout.FULL);
            var outputs = new ArrayList<Tensor>(List.of(whole.output));
            Object state = layer.initialState(2);
            for (int t = 0; t < 9; t++) {
              Result next = layer.step(x.select(1, t), state);
              outputs.add(next.output);
              state = next.state;
            }
            return new Run(outputs, List.of(in));
          };
      if (kind.equals("mlstm") && gate > 0) {
        // h is v x / |x|, whose slope is the difference of equal numbers: noise on either side
        Run actual = program.run(pair.fused);
        Run expected = program.run(pair.libtorch);
        actual.backward();
        for (int i = 0; i < expected.outputs.size(); i++) {
          assertNear("output " + i, actual.outputs.get(i), expected.outputs.get(i), TOLERANCE);
        }
        pair.fused
            .parameters()
            .byName()
            .forEach((name, parameter) ->
                assertThat(parameter.grad().norm().item_double()).as(name).isFinite());
      } else {
        compare(pair, program);
      }
    }
  }

  /// Input and forget gates around `gate` and its opposite.
  private static void extreme(Layer layer, double gate) {
    Map<String, Tensor> p = layer.parameters().byName();
    try (var _ = new NoGradGuard()) {
      if (layer instanceof OfSlstm) {
        Tensor bias = Ops.present(p.get("slstm.bias")); // (NH, 4, DH)
        bias.select(1, 0).add_(Ops.number(gate));
        bias.select(1, 1).add_(Ops.number(-gate));
      } else {
        Ops.present(p.get("mlstm.igate.bias")).add_(Ops.number(gate));
        Ops.present(p.get("mlstm.fgate.bias")).add_(Ops.number(-gate));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void steps_without_a_graph_give_the_bits_of_steps_with_one(String kind) {
    Torch.seed(9);
    try (var _ = new PointerScope();
        var layer = layer(kind, 12, 8, 2)) {
      Tensor x = randn(20, 3, 12);
      Tensor with = chain(layer, x);
      Tensor without;
      try (var _ = new NoGradGuard()) {
        without = chain(layer, x);
      }
      assertThat(Tensors.floats(with)).isEqualTo(Tensors.floats(without));
      assertThat(without.requires_grad()).isFalse();
    }
  }

  private static Tensor chain(Layer layer, Tensor x) {
    Object state = layer.initialState(x.size(1));
    var outputs = new ArrayList<Tensor>();
    for (int t = 0; t < x.size(0); t++) {
      Result next = layer.step(x.select(0, t), state);
      outputs.add(next.output);
      state = next.state;
    }
    return Ops.stackAll(outputs, 0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void a_detached_state_ends_the_graph_and_keeps_the_numbers(String kind) {
    Torch.seed(10);
    try (var _ = new PointerScope();
        var pair = Pair.of(kind, 6, 5, 2)) {
      Tensor x = randn(10, 2, 6);
      compare(
          pair,
          layer -> {
            Object state = layer.initialState(2);
            for (int t = 0; t < 5; t++) {
              state = layer.step(x.select(0, t), state).state;
            }
            state = layer.detached(state);
            var outputs = new ArrayList<Tensor>();
            for (int t = 5; t < 10; t++) {
              Result next = layer.step(x.select(0, t), state);
              outputs.add(next.output);
              state = next.state;
            }
            return new Run(outputs, List.of());
          });
    }
  }

  @Test
  void a_second_backward_pass_through_one_chain_is_refused() {
    try (var _ = new PointerScope();
        var layer = layer("slstm", 6, 5, 2)) {
      Tensor loss = chain(layer, randn(3, 2, 6)).sum();
      loss.backward(new Tensor(), new BoolOptional(true), false, null);
      assertThatThrownBy(() -> loss.backward(new Tensor(), new BoolOptional(true), false, null))
          .hasMessageContaining("one backward pass for each forward pass");
    }
  }

  @Test
  void a_chain_whose_parameters_were_changed_is_refused() {
    try (var _ = new PointerScope();
        var layer = layer("slstm", 6, 5, 2)) {
      Tensor loss = chain(layer, randn(3, 2, 6)).sum();
      try (var _ = new NoGradGuard()) {
        layer.parameters().byName().values().iterator().next().add_(Ops.number(1));
      }
      assertThatThrownBy(loss::backward).hasMessageContaining("parameters of the layer were");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void steps_see_what_the_optimizer_did(String kind) {
    Torch.seed(11);
    try (var _ = new PointerScope();
        var _ = new NoGradGuard();
        var pair = Pair.of(kind, 6, 5, 2)) {
      Tensor x = randn(3, 2, 6);
      var step = new FusedAdamW.Step(1, 1, 0.1, 0.9, 0.999, 1, 1e-8);
      for (int round = 0; round < 2; round++) {
        assertNear("round " + round, chain(pair.fused, x), chain(pair.libtorch, x), TOLERANCE);
        Torch.seed(12);
        pair.fused
            .parameters()
            .byName()
            .forEach((name, parameter) -> {
              Tensor gradient = randn(Ops.shape(parameter));
              Tensor none = zeros(Ops.shape(parameter));
              FusedAdamW.update(step, parameter, gradient, none, none.clone());
              Ops.present(pair.libtorch.parameters().byName().get(name)).copy_(parameter);
            });
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void a_backward_pass_after_the_layer_was_closed_is_an_exception_and_no_crash(String kind) {
    try (var _ = new PointerScope()) {
      Layer layer = layer(kind, 6, 5, 2);
      Tensor steps = chain(layer, randn(3, 2, 6)).sum();
      Tensor whole =
          layer.forward(randn(2, 3, 6), layer.initialState(2), SequenceLayout.FULL).output.sum();
      layer.close();
      assertThatThrownBy(steps::backward).hasMessageContaining("the model was closed");
      assertThatThrownBy(whole::backward).hasMessageContaining("the model was closed");
    }
  }

  @Test
  void a_state_of_another_batch_is_told_of() {
    try (var _ = new PointerScope();
        var layer = layer("slstm", 6, 5, 2)) {
      assertThatThrownBy(() -> layer.step(randn(3, 6), layer.initialState(2)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("state conv must have shape");
      Object recorded = layer.step(randn(2, 6), layer.initialState(2)).state;
      assertThatThrownBy(() -> layer.step(randn(3, 6), recorded))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("state conv must have shape");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void memory_stays_flat_over_twenty_thousand_steps(String kind) {
    try (var _ = new PointerScope();
        var layer = layer(kind, 4, 3, 1)) {
      Tensor x = randn(10, 2, 4);
      Consumer<Integer> rounds =
          count -> {
            for (int round = 0; round < count; round++) {
              try (var _ = new PointerScope()) {
                layer.parameters().zeroGradients();
                Tensor loss = chain(layer, x).sum();
                loss.backward();
              }
            }
          };
      rounds.accept(500);
      long before = NativeMemory.settled();
      long handles = Pointer.totalCount();
      rounds.accept(2_000);
      long growth = NativeMemory.settled(handles) - before;
      assertThat(Pointer.totalCount()).isLessThanOrEqualTo(handles);
      assertThat(growth).isLessThan(20_000 * 20); // a leak would be hundreds of bytes a step
    }
  }
}
