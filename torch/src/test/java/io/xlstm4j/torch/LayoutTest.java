package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CausalConv1dConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.LargeModelConfig;
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
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Padding, document starts and neighbours in the batch never change a row: every run of tokens
/// gives what it gives alone, in outputs, states and gradients. In float64, with NaN as padding
/// wherever the input is made of numbers.
class LayoutTest {
  /// Rounding alone: a run alone is cut into other chunks and multiplied in other batches.
  private static final double TOLERANCE = 1e-9;

  private static final int CHUNK = 4;

  /// Something that runs a sequence; all that is needed to compare runs.
  private interface Layer {
    /// @param inputs each with the batch as its first axis
    Result run(List<Tensor> inputs, List<Tensor> state, SequenceLayout layout);
  }

  /// @param y `(B, S, ...)`
  /// @param inLoss the parts of the state that take gradients: an mLSTM's m is detached
  private record Result(Tensor y, List<Tensor> state, List<Boolean> inLoss) {
    static Result of(Tensor y, BlockStack.State state) {
      var inLoss = new ArrayList<Boolean>();
      for (BlockState block : state.blocks()) {
        for (BlockState.Named part : block.named()) {
          inLoss.add(block instanceof SlstmBlock.State || !part.name().equals("m"));
        }
      }
      return new Result(y, state.tensors(), inLoss);
    }
  }

  static List<Layouts> shortLayouts() {
    return List.of(
        Layouts.ofLengths(9, 0, 1, 9, 4, 5, 8),
        Layouts.ofLengths(1, 1, 0),
        new Layouts(9, List.of(9, 9), List.of(List.of(0), List.of(8))),
        new Layouts(9, List.of(9, 9, 9), List.of(List.of(3, 4, 5), List.of(4, 8), List.of())),
        new Layouts(9, List.of(9), List.of(List.of(0, 1, 2, 3, 4, 5, 6, 7, 8))),
        new Layouts(
            9,
            List.of(6, 3, 0, 1, 9, 5),
            List.of(
                List.of(2, 5),
                List.of(3, 7), // in the padding only
                List.of(0), // in an empty row
                List.of(0, 1),
                List.of(1, 4),
                List.of(4, 5, 8))));
  }

  /// Longer than the chunk of 64 that the layers use, starts and ends around its borders.
  static List<Layouts> longLayouts() {
    return List.of(
        new Layouts(
            131,
            List.of(131, 65, 128, 63),
            List.of(List.of(63, 64, 65, 130), List.of(64), List.of(1, 128), List.of(62, 100))));
  }

  static Stream<Arguments> mlstmCases() {
    return Stream.of(MlstmForm.values())
        .flatMap(form -> shortLayouts().stream().map(layout -> Arguments.of(form, layout)));
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("mlstmCases")
  void every_run_stands_alone_in_the_mlstm_cell(MlstmForm form, Layouts layouts) {
    try (var _ = new PointerScope()) {
      var sample =
          MlstmSample.draw(Draws.float64(1), layouts.rows(), 2, layouts.width(), 3, 2, true);
      Layer layer =
          (inputs, state, layout) -> {
            var parts = new ArrayList<Tensor>();
            inputs.forEach(x -> parts.add(x.transpose(1, 2))); // (B, NH, S, ...)
            parts.addAll(state);
            var output = new MlstmSample(parts).run(form, CHUNK, layout);
            return new Result(
                output.h().transpose(1, 2), output.state().tensors(), List.of(true, true, false));
          };
      List<Tensor> inputs =
          sample.tensors().subList(0, 5).stream().map(x -> x.transpose(1, 2)).toList();
      assertRunsStandAlone(layer, inputs, sample.initial().tensors(), layouts, Map.of());
    }
  }

  static Stream<Arguments> slstmCases() {
    return Stream.of(Function.values())
        .flatMap(function -> shortLayouts().stream().map(layout -> Arguments.of(function, layout)));
  }

  @ParameterizedTest(name = "{0} {1}")
  @MethodSource("slstmCases")
  void every_run_stands_alone_in_the_slstm_cell(Function function, Layouts layouts) {
    try (var _ = new PointerScope()) {
      var cell = new SlstmCell(function, false, null, null);
      var sample = SlstmSample.draw(Draws.float64(1), layouts.rows(), 2, layouts.width(), 3, true);
      Tensor r = sample.tensors().get(1).set_requires_grad(true);
      Tensor b = sample.tensors().get(2).set_requires_grad(true);
      Layer layer =
          (inputs, state, layout) -> {
            var initial =
                new SlstmCell.State(state.get(0), state.get(1), state.get(2), state.get(3));
            var output = cell.forward(inputs.getFirst(), r, b, initial, layout);
            return new Result(
                output.y(), output.state().tensors(), List.of(true, true, true, true));
          };
      assertRunsStandAlone(
          layer,
          List.of(sample.tensors().getFirst()),
          sample.initial().tensors(),
          layouts,
          Map.of("r", r, "b", b));
    }
  }

  static Stream<Arguments> convCases() {
    return Stream.of(1, 2, 4)
        .flatMap(kernel ->
            Stream.of(false, true)
                .flatMap(mixing ->
                    shortLayouts().stream().map(layout -> Arguments.of(kernel, mixing, layout))));
  }

  @ParameterizedTest(name = "kernel {0}, mixing {1}, {2}")
  @MethodSource("convCases")
  void every_run_stands_alone_in_the_convolution(int kernel, boolean mixing, Layouts layouts) {
    try (var _ = new PointerScope();
        var parameters = float64Parameters()) {
      var conv =
          new CausalConv1d(parameters.at("conv"), new CausalConv1dConfig(3, kernel, true, mixing));
      var draws = Draws.float64(2);
      Layer layer =
          (inputs, state, layout) -> {
            var output = conv.forward(inputs.getFirst(), state.getFirst(), layout);
            return new Result(output.y(), List.of(output.tail()), List.of(true));
          };
      assertRunsStandAlone(
          layer,
          List.of(draws.normal(1, layouts.rows(), layouts.width(), 3)),
          List.of(draws.normal(1, layouts.rows(), kernel - 1L, 3)),
          layouts,
          parameters.byName());
    }
  }

  static Stream<Arguments> stackCases() {
    return Stream.concat(shortLayouts().stream(), longLayouts().stream())
        .flatMap(layout ->
            Stream.of(List.<Integer>of(), List.of(0), List.of(1))
                .map(slstmAt -> Arguments.of(slstmAt, layout)));
  }

  @ParameterizedTest(name = "sLSTM at {0}, {1}")
  @MethodSource("stackCases")
  void every_run_stands_alone_in_a_block_stack(List<Integer> slstmAt, Layouts layouts) {
    int blocks = slstmAt.contains(1) ? 2 : 1;
    try (var _ = new PointerScope();
        var parameters = float64Parameters()) {
      Torch.seed(3);
      var stack = new BlockStack(parameters.at("stack"), config(blocks, slstmAt));
      var draws = Draws.float64(4);
      var zero = stack.initialState(layouts.rows());
      stir(parameters, draws);
      Layer layer =
          (inputs, state, layout) -> {
            var output = stack.forward(inputs.getFirst(), with(zero, state), layout);
            return Result.of(output.x(), output.state());
          };
      assertRunsStandAlone(
          layer,
          List.of(draws.normal(1, layouts.rows(), layouts.width(), 8)),
          warm(zero, draws),
          layouts,
          parameters.byName());
    }
  }

  @ParameterizedTest
  @MethodSource({"shortLayouts", "longLayouts"})
  void every_run_stands_alone_in_a_language_model(Layouts layouts) {
    try (var _ = new PointerScope();
        var model =
            new XlstmLanguageModel(
                PaperModelConfig.of(7, config(2, List.of(1))), float64Parameters())) {
      var draws = Draws.float64(5);
      stir(model.parameters(), draws);
      var zero = model.initialState(layouts.rows());
      int[] ids = draws.ids(layouts.rows() * layouts.width(), 7);
      Layer layer =
          (inputs, state, layout) -> {
            // Padded ids cannot be NaN, so they are what the input holds: other words.
            var output = model.forward(inputs.getFirst(), with(zero, state), layout);
            return Result.of(output.logits(), output.state());
          };
      assertRunsStandAlone(
          layer,
          List.of(Tensors.of(ids, layouts.rows(), layouts.width())),
          warm(zero, draws),
          layouts,
          model.parameters().byName());
    }
  }

  @ParameterizedTest
  @MethodSource({"shortLayouts", "longLayouts"})
  void every_run_stands_alone_in_a_model_of_the_large_family(Layouts layouts) {
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(LargeModelConfig.of(7, 16, 2, 2), float64Parameters())) {
      var draws = Draws.float64(5);
      stir(model.parameters(), draws);
      var zero = model.initialState(layouts.rows());
      int[] ids = draws.ids(layouts.rows() * layouts.width(), 7);
      Layer layer =
          (inputs, state, layout) -> {
            var output = model.forward(inputs.getFirst(), with(zero, state), layout);
            return Result.of(output.logits(), output.state());
          };
      assertRunsStandAlone(
          layer,
          List.of(Tensors.of(ids, layouts.rows(), layouts.width())),
          warm(zero, draws),
          layouts,
          model.parameters().byName());
    }
  }

  private static Parameters float64Parameters() {
    return new Parameters(Torch.device("cpu"), ScalarType.Double);
  }

  /// Small blocks, the recurrent kernel not zero.
  private static BlockStackConfig config(int blocks, List<Integer> slstmAt) {
    return new BlockStackConfig(
        blocks,
        8,
        16,
        slstmAt,
        new MlstmBlockConfig(new MlstmLayerConfig(4, 4, 2, 2.0, true, 8)),
        new SlstmBlockConfig(
            new SlstmLayerConfig(
                2,
                4,
                true,
                Backend.CUDA,
                Function.SLSTM,
                BiasInit.POWERLAW_BLOCKDEPENDENT,
                RecurrentWeightInit.STANDARD,
                false,
                null,
                null),
            new FeedForwardConfig(1.3, FeedForwardConfig.Activation.GELU, false, 0.0, true, 8)),
        true,
        true,
        0.0);
  }

  /// Moves every parameter off its start, so that zero gate weights and norms hide nothing.
  private static void stir(Parameters parameters, Draws draws) {
    try (var _ = new NoGradGuard()) {
      for (Tensor parameter : parameters.byName().values()) {
        parameter.add_(draws.normal(0.1, Ops.shape(parameter)));
      }
    }
  }

  /// Some state that no row starts with; normalizers stay positive, as in any row that has read.
  private static List<Tensor> warm(BlockStack.State zero, Draws draws) {
    var tensors = new ArrayList<Tensor>();
    for (BlockState block : zero.blocks()) {
      for (BlockState.Named part : block.named()) {
        boolean normalizer = block instanceof SlstmBlock.State && part.name().equals("n");
        long[] shape = Ops.shape(part.tensor());
        tensors.add(normalizer ? draws.uniform(1, 2, shape) : draws.normal(0.5, shape));
      }
    }
    return tensors;
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

  /// Runs the batch at once and every run of it alone, and compares everything.
  private static void assertRunsStandAlone(
      Layer layer,
      List<Tensor> inputs,
      List<Tensor> state,
      Layouts layouts,
      Map<String, Tensor> parameters) {
    boolean numbers = inputs.getFirst().is_floating_point();
    var draws = Draws.float64(99);

    List<Tensor> together = numbers ? Gradients.leaves(inputs) : inputs;
    List<Tensor> entering = Gradients.leaves(state);
    Result batch =
        layer.run(
            numbers ? together.stream().map(x -> layouts.withNanPadding(x, 1)).toList() : together,
            entering,
            layouts.masks());
    Tensor weightY = draws.normal(1, Ops.shape(batch.y));
    var weightState = new ArrayList<Tensor>();
    for (int i = 0; i < batch.state.size(); i++) {
      weightState.add(draws.normal(batch.inLoss.get(i) ? 1 : 0, Ops.shape(batch.state.get(i))));
    }
    Tensor loss = batch.y.mul(weightY);
    loss = layouts.masks().valid() == null ? loss : layouts.masks().padded(loss, 1);
    loss = loss.sum();
    for (int i = 0; i < weightState.size(); i++) {
      loss = loss.add(batch.state.get(i).mul(weightState.get(i)).sum());
    }
    loss.backward();
    List<Tensor> batchGradients = takeGradients(parameters);

    List<Tensor> alone = numbers ? Gradients.leaves(inputs) : inputs;
    List<Tensor> aloneEntering = Gradients.leaves(state);
    Tensor aloneLoss = weightY.sum().mul(Ops.number(0));
    List<List<Tensor>> last = new ArrayList<>();
    for (int row = 0; row < layouts.rows(); row++) {
      int r = row;
      last.add(aloneEntering.stream().map(x -> x.narrow(0, r, 1)).toList());
    }
    for (Layouts.Run run : layouts.runs()) {
      List<Tensor> before =
          run.fresh()
              ? last.get(run.row()).stream().map(x -> Ops.zerosLike(x, Ops.shape(x))).toList()
              : last.get(run.row());
      Result result = layer.run(cut(alone, run), before, SequenceLayout.FULL);
      Golden.assertClose(
          "output of " + run, cut(List.of(batch.y), run).getFirst(), result.y, TOLERANCE);
      aloneLoss = aloneLoss.add(result.y.mul(cut(List.of(weightY), run).getFirst()).sum());
      last.set(run.row(), result.state);
    }
    for (int row = 0; row < layouts.rows(); row++) {
      for (int i = 0; i < state.size(); i++) {
        Tensor expected = last.get(row).get(i);
        Golden.assertClose(
            "state " + i + " of row " + row,
            batch.state.get(i).narrow(0, row, 1),
            expected,
            TOLERANCE);
        aloneLoss = aloneLoss.add(expected.mul(weightState.get(i).narrow(0, row, 1)).sum());
      }
    }
    aloneLoss.backward();

    if (numbers) {
      for (int i = 0; i < inputs.size(); i++) {
        assertSameGradient("input " + i, together.get(i), alone.get(i));
      }
    }
    for (int i = 0; i < state.size(); i++) {
      if (batch.inLoss.get(i)) { // else by convention at fixed m, and an empty row has its own m
        assertSameGradient("entering state " + i, entering.get(i), aloneEntering.get(i));
      }
    }
    List<Tensor> aloneGradients = takeGradients(parameters);
    var names = List.copyOf(parameters.keySet());
    for (int i = 0; i < names.size(); i++) {
      double scale = Math.max(1, Gradients.largest(aloneGradients.get(i)));
      Golden.assertClose(
          names.get(i), batchGradients.get(i), aloneGradients.get(i), TOLERANCE * scale);
    }
  }

  private static List<Tensor> cut(List<Tensor> tensors, Layouts.Run run) {
    return tensors.stream()
        .map(x -> x.narrow(0, run.row(), 1).narrow(1, run.from(), run.length()))
        .toList();
  }

  private static void assertSameGradient(String what, Tensor actual, Tensor expected) {
    Golden.assertClose(
        "gradient of " + what, Gradients.of(actual), Gradients.of(expected), TOLERANCE);
  }

  /// The gradients of all parameters, in order; the parameters forget them.
  private static List<Tensor> takeGradients(Map<String, Tensor> parameters) {
    var gradients = new ArrayList<Tensor>();
    for (Tensor parameter : parameters.values()) {
      gradients.add(Gradients.of(parameter).clone());
      parameter.mutable_grad().reset();
    }
    return gradients;
  }
}
