package io.xlstm4j.torch;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.config.CausalConv1dConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.BiasInit;
import io.xlstm4j.kernels.block.SlstmLayerKernel;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// An sLSTM as a layer of its own, the drop-in for an LSTM layer: any input width, heads of any
/// width, state in and out (paper figure 10, one residual around all).
///
/// A norm over a single number is zero and lets nothing through. So a layer of input width 1 has no
/// norm before it (see [Norm]), and one of head width 1 none over its heads.
///
/// Owns its parameters; [#close] frees them.
public final class Slstm implements AutoCloseable {
  private static final double PROJ_FACTOR = 4.0 / 3.0;
  private static final int KERNEL_SIZE = 4;
  private static final List<String> STATE = List.of("conv", "y", "c", "n", "m");

  private final Parameters parameters;
  private final Execution execution = new Execution();
  private final int inputDim;
  private final int numHeads;
  private final int headDim;
  private final Norms.@Nullable LayerNorm norm; // null for Norm.NONE
  private final CausalConv1d conv;
  private final Linear inputGate;
  private final Linear forgetGate;
  private final Linear zGate;
  private final Linear outputGate;
  private final Tensor recurrentKernel; // (NH, DH, 4, DH)
  private final Tensor bias; // (NH, 4, DH)
  private final Norms.@Nullable MultiHeadLayerNorm headNorm; // null for heads of one unit
  private final Linear projUp;
  private final Linear projDown;
  private final @Nullable FusedLayer fused; // null for what the kernel cannot take

  /// A layer on the CPU in float32, projection factor 4/3 and 4 taps of convolution.
  ///
  /// @param inputDim D, the width of inputs and outputs; 1 has no norm, see [Norm]
  /// @param headDim DH, the width of one head
  /// @param numHeads NH; the hidden width is NH x DH, whatever D is
  public Slstm(int inputDim, int headDim, int numHeads) {
    this(inputDim, headDim, numHeads, PROJ_FACTOR, KERNEL_SIZE, Parameters.onCpu());
  }

  /// The same with a choice of norm.
  ///
  /// @param norm of the input; [Norm#LAYER] needs at least two features
  public Slstm(int inputDim, int headDim, int numHeads, Norm norm) {
    this(inputDim, headDim, numHeads, PROJ_FACTOR, KERNEL_SIZE, norm, Parameters.onCpu());
  }

  /// @param projFactor width of each half of the feed-forward as a multiple of the hidden width
  /// @param kernelSize taps of the causal convolution, at least 1
  /// @param parameters an empty store, which decides device and type; this layer closes it
  public Slstm(
      int inputDim,
      int headDim,
      int numHeads,
      double projFactor,
      int kernelSize,
      Parameters parameters) {
    this(
        inputDim, headDim, numHeads, projFactor, kernelSize, Norm.defaultFor(inputDim), parameters);
  }

  /// The same with a choice of norm.
  ///
  /// @param norm of the input; [Norm#LAYER] needs at least two features
  public Slstm(
      int inputDim,
      int headDim,
      int numHeads,
      double projFactor,
      int kernelSize,
      Norm norm,
      Parameters parameters) {
    Check.positive("inputDim", inputDim);
    Check.positive("headDim", headDim);
    Check.positive("numHeads", numHeads);
    Check.positive("projFactor", projFactor);
    norm.check(inputDim);
    this.parameters = parameters;
    this.inputDim = inputDim;
    this.numHeads = numHeads;
    this.headDim = headDim;
    long hidden = (long) numHeads * headDim;
    long up = Math.max(1, Math.round(projFactor * hidden));
    var at = parameters.at("slstm");
    this.norm = norm == Norm.NONE ? null : Norms.LayerNorm.create(at.at("norm"), inputDim);
    conv = new CausalConv1d(at.at("conv1d"), CausalConv1dConfig.of(inputDim, kernelSize));
    inputGate = Linear.create(at.at("igate"), inputDim, hidden, Init.small(inputDim), null);
    forgetGate = Linear.create(at.at("fgate"), inputDim, hidden, Init.small(inputDim), null);
    zGate = Linear.create(at.at("zgate"), inputDim, hidden, Init.small(inputDim), null);
    outputGate = Linear.create(at.at("ogate"), inputDim, hidden, Init.small(inputDim), null);
    recurrentKernel =
        at.create("recurrent_kernel", Init.constant(0), numHeads, headDim, 4, headDim);
    bias =
        at.create(
            "bias",
            Init.slstmBias(BiasInit.POWERLAW_BLOCKDEPENDENT, numHeads, headDim, 0, 1),
            numHeads,
            4,
            headDim);
    headNorm = headDim == 1 ? null : Norms.MultiHeadLayerNorm.create(at.at("head_norm"), hidden);
    projUp = Linear.create(at.at("proj_up"), hidden, 2 * up, Init.small(hidden), null);
    projDown = Linear.create(at.at("proj_down"), up, inputDim, Init.wang(inputDim, 1), null);
    fused = fused((int) up);
  }

  private @Nullable FusedLayer fused(int up) {
    if (!FusedLayer.takes(parameters) || conv.taps() < 2 || norm == null || headNorm == null) {
      return null;
    }
    var dims =
        new SlstmLayerKernel.Dims(inputDim, numHeads, headDim, up, conv.taps(), (float) Norms.EPS);
    return new FusedLayer(
        parameters,
        List.of(
            norm.weight(),
            conv.weight(),
            Ops.present(conv.bias()),
            inputGate.weight(),
            forgetGate.weight(),
            zGate.weight(),
            outputGate.weight(),
            recurrentKernel,
            bias,
            Ops.present(headNorm.weight()),
            projUp.weight(),
            projDown.weight()),
        kernels -> new SlstmLayerKernel(kernels, dims),
        inputDim,
        STATE,
        this::stateShapes);
  }

  private List<long[]> stateShapes(long batch) {
    long[] cell = {batch, numHeads, headDim};
    return List.of(new long[] {batch, conv.taps() - 1L, inputDim}, cell, cell, cell, cell);
  }

  /// What the layer remembers, in one memory or in parts. A state that a step gave joins the graph
  /// when its parts are asked for.
  public static final class State implements Scopes.Tensors {
    private final LayerState memory;

    /// @param conv the last inputs of the convolution `(B, kernelSize-1, D)`
    /// @param cell the state of the cell, parts `(B, NH, DH)`
    public State(Tensor conv, SlstmCell.State cell) {
      this(LayerState.ofParts(conv, cell.y(), cell.c(), cell.n(), cell.m()));
    }

    private State(LayerState memory) {
      this.memory = memory;
    }

    /// The last inputs of the convolution `(B, kernelSize-1, D)`, owned by the caller's scope or
    /// this state.
    public Tensor conv() {
      return memory.parts().getFirst();
    }

    /// The state of the cell, parts `(B, NH, DH)`, owned by the caller's scope or this state.
    public SlstmCell.State cell() {
      List<Tensor> parts = memory.parts();
      return new SlstmCell.State(parts.get(1), parts.get(2), parts.get(3), parts.get(4));
    }

    /// The same numbers, without the graph that made them; owned by the caller's scope.
    public State detached() {
      return new State(memory.detached());
    }

    /// What this state owns, for [Scopes.Holder] and the like; not its parts.
    @Override
    public List<Tensor> tensors() {
      return memory.tensors();
    }
  }

  /// @param output of the input's shape
  /// @param state after the last element
  public record Output(Tensor output, State state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      var tensors = new ArrayList<>(state.tensors());
      tensors.add(output);
      return tensors;
    }

    private static Output of(FusedLayer.Output fused) {
      return new Output(fused.output(), new State(fused.state()));
    }
  }

  /// Chooses what computes the cell; [Backend#FUSED] at first.
  public void backend(Backend backend) {
    execution.backend(backend);
  }

  /// The weights by name, for an optimizer or a checkpoint.
  public Parameters parameters() {
    return parameters;
  }

  /// The state before the first element of `batch` rows.
  public State initialState(long batch) {
    if (fused != null && execution.fuses()) {
      return new State(fused.zeroState(batch));
    }
    Tensor like = Ops.zerosOf(parameters, 1);
    return new State(
        conv.zeroTail(batch, like), SlstmCell.State.zero(batch, numHeads, headDim, like));
  }

  /// Advances every row by one element.
  ///
  /// @param input `(B, D)`
  /// @param state the state before it; read, never written
  public Output step(Tensor input, State state) {
    Ops.expectShape("input", input, "(B, D)", -1, inputDim);
    if (fused != null && execution.fuses(input)) {
      return Scopes.scoped(() -> Output.of(fused.step(input, state.memory)));
    }
    Output next = forward(input.unsqueeze(1), state);
    return new Output(next.output.squeeze(1), next.state);
  }

  /// Runs a sequence.
  ///
  /// @param sequence `(B, S, D)`
  /// @param state the state before it; read, never written
  public Output forward(Tensor sequence, State state) {
    return forward(sequence, state, SequenceLayout.FULL);
  }

  /// Runs a sequence whose rows may be padded or hold several documents.
  public Output forward(Tensor sequence, State state, SequenceLayout layout) {
    Ops.expectShape("sequence", sequence, "(B, S, D)", -1, -1, inputDim);
    return Scopes.scoped(() ->
        fused != null && execution.fuses(sequence)
            ? Output.of(fused.forward(sequence, state.memory, layout))
            : run(sequence, state, layout));
  }

  private Output run(Tensor sequence, State last, SequenceLayout layout) {
    Tensor in = layout.padded(sequence, 1); // else what it holds spoils the gradients
    Tensor x = norm == null ? in : execution.layerNorm(norm, in);
    CausalConv1d.Output convolved = execution.convSilu(conv, x, last.conv(), layout);
    Tensor xc = convolved.y();
    Tensor wx = // (B, S, 4, NH, DH)
        Ops.stackAll(
                List.of(
                    inputGate.forward(xc),
                    forgetGate.forward(xc),
                    zGate.forward(x),
                    outputGate.forward(x)),
                2)
            .view(x.size(0), x.size(1), 4, numHeads, headDim);
    SlstmCell.Output y =
        execution.slstm(
            SlstmCell.PAPER, wx, recurrentKernel, bias, last.cell(), layout);
    Tensor h = y.y().to(x.scalar_type()); // (B, S, NH, DH)
    Tensor normed = headNorm == null ? h.flatten(2, 3) : headNorm.forward(h);
    Tensor up = projUp.forward(normed); // (B, S, 2 U)
    Tensor gated = execution.gatedGelu(up);
    return new Output(in.add(projDown.forward(gated)), new State(convolved.tail(), y.state()));
  }

  /// Frees the parameters. Closing twice is harmless.
  @Override
  public void close() {
    if (fused != null) {
      fused.close();
    }
    parameters.close();
  }
}
