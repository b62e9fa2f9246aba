package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.silu;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.config.CausalConv1dConfig;
import io.xlstm4j.kernels.block.MlstmLayerKernel;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// An mLSTM as a layer of its own, the drop-in for an LSTM layer: any input width, heads of any
/// width, state in and out (paper figure 11, one residual around all).
///
/// A norm over a single number is zero and lets nothing through. So a layer of input width 1 has no
/// norm before it (see [Norm]), and one of head width 1 none over its heads.
///
/// Owns its parameters; [#close] frees them.
public final class Mlstm implements AutoCloseable {
  private static final double PROJ_FACTOR = 2.0;
  private static final int KERNEL_SIZE = 4;
  private static final List<String> STATE = List.of("conv", "c", "n", "m");

  private final Parameters parameters;
  private final ExecutionMode execution = new ExecutionMode();
  private final int inputDim;
  private final int numHeads;
  private final int headDim;
  private final Norms.@Nullable LayerNorm norm; // null for Norm.NONE
  private final Linear projMemory;
  private final Linear projGate;
  private final CausalConv1d conv;
  private final Linear qProj;
  private final Linear kProj;
  private final Linear vProj;
  private final Linear inputGate;
  private final Linear forgetGate;
  private final Norms.@Nullable MultiHeadLayerNorm headNorm; // null for heads of one unit
  private final Linear learnableSkip;
  private final Linear projDown;
  private final @Nullable FusedLayer fused; // null for what the kernel cannot take

  /// A layer on the CPU in float32, projection factor 2 and 4 taps of convolution.
  ///
  /// @param inputDim D, the width of inputs and outputs; 1 has no norm, see [Norm]
  /// @param headDim DH, the width of one head
  /// @param numHeads NH; the hidden width is NH x DH, whatever D is
  public Mlstm(int inputDim, int headDim, int numHeads) {
    this(inputDim, headDim, numHeads, PROJ_FACTOR, KERNEL_SIZE, Parameters.onCpu());
  }

  /// The same with a choice of norm.
  ///
  /// @param norm of the input; [Norm#LAYER] needs at least two features
  public Mlstm(int inputDim, int headDim, int numHeads, Norm norm) {
    this(inputDim, headDim, numHeads, PROJ_FACTOR, KERNEL_SIZE, norm, Parameters.onCpu());
  }

  /// @param projFactor width of the memory branch as a multiple of the input width
  /// @param kernelSize taps of the causal convolution, at least 1
  /// @param parameters an empty store, which decides device and type; this layer closes it
  public Mlstm(
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
  public Mlstm(
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
    int hidden = numHeads * headDim;
    int memory = (int) Math.max(1, Math.round(projFactor * inputDim));
    var at = parameters.at("mlstm");
    this.norm = norm == Norm.NONE ? null : Norms.LayerNorm.create(at.at("norm"), inputDim);
    projMemory = Linear.create(at.at("proj_memory"), inputDim, memory, Init.small(inputDim), null);
    projGate = Linear.create(at.at("proj_gate"), inputDim, hidden, Init.small(inputDim), null);
    conv = new CausalConv1d(at.at("conv1d"), CausalConv1dConfig.of(memory, kernelSize));
    qProj = Linear.create(at.at("q_proj"), memory, hidden, Init.small(memory), null);
    kProj = Linear.create(at.at("k_proj"), memory, hidden, Init.small(memory), null);
    vProj = Linear.create(at.at("v_proj"), memory, hidden, Init.small(memory), null);
    inputGate = Linear.create(at.at("igate"), memory, numHeads, Init.constant(0), Init.normal(0.1));
    forgetGate =
        Linear.create(at.at("fgate"), memory, numHeads, Init.constant(0), Init.linspace(3, 6));
    headNorm = headDim == 1 ? null : Norms.MultiHeadLayerNorm.create(at.at("head_norm"), hidden);
    learnableSkip =
        Linear.create(at.at("learnable_skip"), memory, hidden, Init.small(memory), null);
    projDown = Linear.create(at.at("proj_down"), hidden, inputDim, Init.wang(inputDim, 1), null);
    fused = fused(memory);
  }

  private @Nullable FusedLayer fused(int memory) {
    if (!FusedLayer.takes(parameters)
        || conv.kernelSize() < 2
        || norm == null
        || headNorm == null) {
      return null;
    }
    var dims =
        new MlstmLayerKernel.Dims(
            inputDim, memory, numHeads, headDim, conv.kernelSize(), (float) Norms.EPS);
    return new FusedLayer(
        parameters,
        List.of(
            norm.weight(),
            projMemory.weight(),
            projGate.weight(),
            conv.weight(),
            Ops.present(conv.bias()),
            qProj.weight(),
            kProj.weight(),
            vProj.weight(),
            inputGate.weight(),
            Ops.present(inputGate.bias()),
            forgetGate.weight(),
            Ops.present(forgetGate.bias()),
            Ops.present(headNorm.weight()),
            learnableSkip.weight(),
            projDown.weight()),
        kernels -> new MlstmLayerKernel(kernels, dims),
        inputDim,
        STATE,
        this::stateShapes);
  }

  private List<long[]> stateShapes(long batch) {
    return List.of(
        new long[] {batch, conv.kernelSize() - 1L, projMemory.weight().size(0)},
        new long[] {batch, numHeads, headDim, headDim},
        new long[] {batch, numHeads, headDim},
        new long[] {batch, numHeads});
  }

  /// The state of the layer, in one memory or in parts. A state that a step gave joins the graph
  /// when its parts are asked for.
  public static final class State implements Scopes.Tensors {
    private final LayerState memory;

    /// @param conv the last inputs of the convolution `(B, kernelSize-1, memory width)`
    /// @param cell the state of the cell
    public State(Tensor conv, MlstmCell.State cell) {
      this(LayerState.ofParts(conv, cell.c(), cell.n(), cell.m()));
    }

    private State(LayerState memory) {
      this.memory = memory;
    }

    /// The last inputs of the convolution `(B, kernelSize-1, memory width)`, owned by the caller's
    /// scope or this state.
    public Tensor conv() {
      return memory.parts().getFirst();
    }

    /// The state of the cell, owned by the caller's scope or this state.
    public MlstmCell.State cell() {
      List<Tensor> parts = memory.parts();
      return new MlstmCell.State(parts.get(1), parts.get(2), parts.get(3));
    }

    /// The same numbers, without the graph that made them; owned by the caller's scope.
    public State detached() {
      return new State(memory.detached());
    }

    /// Returns the tensors that this state owns, not its parts.
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

  /// The state before the first element of `batch` sequences.
  public State initialState(long batch) {
    if (fused != null && execution.fuses()) {
      return new State(fused.zeroState(batch));
    }
    Tensor like = Ops.zerosOf(parameters, 1);
    return new State(
        conv.zeroTail(batch, like), MlstmCell.State.zero(batch, numHeads, headDim, headDim, like));
  }

  /// Advances every sequence by one element.
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

  /// Runs a batch whose sequences may be padded or hold several documents.
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
    Tensor memory = projMemory.forward(x); // (B, S, memory width)
    CausalConv1d.Output convolved = execution.convSilu(conv, memory, last.conv(), layout);
    Tensor xc = convolved.y();
    MlstmCell.Output cell =
        execution.mlstm(
            qProj.forward(xc),
            kProj.forward(xc),
            vProj.forward(memory),
            inputGate.forward(xc), // (B, S, NH)
            forgetGate.forward(xc),
            last.cell(),
            layout);
    Tensor h = cell.h().to(x.scalar_type()); // (B, S, NH, DH)
    Tensor normed = headNorm == null ? h.flatten(2, 3) : headNorm.forward(h); // (B, S, NH DH)
    Tensor gated = normed.add(learnableSkip.forward(xc)).mul(silu(projGate.forward(x)));
    return new Output(in.add(projDown.forward(gated)), new State(convolved.tail(), cell.state()));
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
