package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.baddbmm;
import static org.bytedeco.pytorch.global.torch.log_sigmoid;
import static org.bytedeco.pytorch.global.torch.maximum;
import static org.bytedeco.pytorch.global.torch.where;

import io.xlstm4j.core.config.SlstmLayerConfig.Function;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.TensorTensorHook;
import org.jspecify.annotations.Nullable;

/// The sLSTM cell: scalar memory, exponential input gate, a recurrence that mixes the units of one
/// head (docs/math.md 1; Beck et al. 2024, arXiv:2405.04517, eq. 8-17).
///
/// Gates stand in the order i, f, z, o. The stabilizer m stays in the graph: outputs do not depend
/// on it (docs/math.md 1.6), but the returned c and n do, and so gradients into a final state are
/// exact too.
///
/// On libtorch operations: the reference implementation that the fused kernels are checked against,
/// and the form for GPUs.
///
/// @param function the paper's sLSTM, or a plain LSTM with the same recurrence
/// @param recurrentCut whether no gradient flows back through the recurrent product
/// @param recurrentClip bound of that gradient, element by element; null for none
/// @param forwardClip bound of the output y, element by element; null for none
public record SlstmCell(
    Function function,
    boolean recurrentCut,
    @Nullable Double recurrentClip,
    @Nullable Double forwardClip) {
  /// The cell as the paper has it.
  public static final SlstmCell PAPER = new SlstmCell(Function.SLSTM, false, null, null);

  private static final Map<Double, TensorTensorHook> CLIPS = new ConcurrentHashMap<>();

  /// The state of the cell; all parts `(B, NH, DH)`.
  ///
  /// @param y the last output, fed back through R
  /// @param c cell, with the factor exp(-m)
  /// @param n normalizer, with the same factor; zero marks a unit that has seen nothing
  /// @param m stabilizer, natural-log scale
  public record State(Tensor y, Tensor c, Tensor n, Tensor m) implements Scopes.Tensors {
    /// The state before the first token: all zero.
    public static State zero(long batch, long heads, long headDim, Tensor like) {
      Tensor wide = Ops.atLeastFloat32(like);
      return new State(
          Ops.zerosLike(wide, batch, heads, headDim),
          Ops.zerosLike(wide, batch, heads, headDim),
          Ops.zerosLike(wide, batch, heads, headDim),
          Ops.zerosLike(wide, batch, heads, headDim));
    }

    void check(long batch, long heads, long headDim) {
      Ops.expectShape("state y", y, "(B, NH, DH)", batch, heads, headDim);
      Ops.expectShape("state c", c, "(B, NH, DH)", batch, heads, headDim);
      Ops.expectShape("state n", n, "(B, NH, DH)", batch, heads, headDim);
      Ops.expectShape("state m", m, "(B, NH, DH)", batch, heads, headDim);
    }

    @Override
    public List<Tensor> tensors() {
      return List.of(y, c, n, m);
    }

    private State where(Tensor mask, State no) {
      return new State(
          org.bytedeco.pytorch.global.torch.where(mask, y, no.y),
          org.bytedeco.pytorch.global.torch.where(mask, c, no.c),
          org.bytedeco.pytorch.global.torch.where(mask, n, no.n),
          org.bytedeco.pytorch.global.torch.where(mask, m, no.m));
    }

    private State transposed() { // (B, NH, DH) <-> (NH, B, DH)
      return new State(y.transpose(0, 1), c.transpose(0, 1), n.transpose(0, 1), m.transpose(0, 1));
    }
  }

  /// @param y `(B, S, NH, DH)`
  /// @param state after the last token
  public record Output(Tensor y, State state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      return List.of(y, state.y, state.c, state.n, state.m);
    }
  }

  /// Runs a sequence of any length.
  ///
  /// @param wx the part of the gates that comes from the input `(B, S, 4, NH, DH)`
  /// @param r recurrent kernel `(NH, DHin, 4, DHout)`
  /// @param b bias `(NH, 4, DH)`
  /// @param initial the state before the first token; read, never written
  public Output forward(Tensor wx, Tensor r, Tensor b, State initial, SequenceLayout layout) {
    check(wx, r, b, initial, layout);
    long batch = wx.size(0);
    long length = wx.size(1);
    long heads = wx.size(3);
    long headDim = wx.size(4);

    // Heads first: the recurrent product is then one batched matrix product per step.
    Tensor gates = // (S, NH, B, 4 DH)
        layout
            .padded(wx, 1)
            .permute(1, 3, 0, 2, 4)
            .add(b.unsqueeze(1))
            .reshape(length, heads, batch, 4 * headDim);
    Tensor kernel = r.reshape(heads, headDim, 4 * headDim);
    State state = initial.transposed();
    var ys = new ArrayList<Tensor>();
    for (long t = 0; t < length; t++) {
      SequenceLayout at = layout.narrow(t, 1); // masks (B, 1)
      State last = state;
      if (at.starts() != null) {
        Tensor keep = at.starts().logical_not().unsqueeze(0); // (1, B, 1)
        last = state.where(keep, State.zero(1, 1, 1, state.y));
      }
      Tensor raw = baddbmm(gates.select(0, t), fedBack(last.y), kernel); // (NH, B, 4 DH)
      State next = advance(raw.view(heads, batch, 4, headDim), last);
      ys.add(next.y);
      state = at.valid() == null ? next : next.where(at.valid().unsqueeze(0), state);
    }
    return new Output(
        Ops.stackAll(ys, 0).permute(2, 0, 1, 3), state.transposed()); // from (S, NH, B, DH)
  }

  /// @throws IllegalArgumentException that names the first tensor of a wrong shape
  static void check(Tensor wx, Tensor r, Tensor b, State initial, SequenceLayout layout) {
    Ops.expectShape("wx", wx, "(B, S, 4, NH, DH)", -1, -1, 4, -1, -1);
    long batch = wx.size(0);
    long length = wx.size(1);
    long heads = wx.size(3);
    long headDim = wx.size(4);
    Ops.expectShape("r", r, "(NH, DH, 4, DH)", heads, headDim, 4, headDim);
    Ops.expectShape("b", b, "(NH, 4, DH)", heads, 4, headDim);
    initial.check(batch, heads, headDim);
    layout.check(batch, length);
    if (length == 0) {
      throw new IllegalArgumentException("a sequence must have at least one position");
    }
  }

  private State advance(Tensor raw, State last) {
    return switch (function) {
      case SLSTM -> slstm(raw, last);
      case LSTM -> lstm(raw, last);
    };
  }

  /// The update of docs/math.md 1.1.
  private State slstm(Tensor raw, State last) {
    Tensor iPre = raw.select(2, 0); // (NH, B, DH), as all below
    Tensor logF = last.m.add(log_sigmoid(raw.select(2, 1)));
    Tensor z = raw.select(2, 2).tanh();
    Tensor o = raw.select(2, 3).sigmoid();
    Tensor fresh = last.n.eq(Ops.number(0));
    Tensor m = where(fresh, iPre, maximum(iPre, logF)); // eq. 15
    Tensor i = atMostOne(iPre.sub(m)); // eq. 16
    Tensor f = atMostOne(logF.sub(m)); // eq. 17
    Tensor c = f.mul(last.c).add(i.mul(z)); // eq. 8
    Tensor n = f.mul(last.n).add(i); // eq. 9
    return new State(clipped(o.mul(c).div(n)), c, n, m); // eq. 10
  }

  /// `min(exp(x), 1)`. Bounded before the exponential: on a unit's first step x may be large, and
  /// an infinite power has no gradient to bound.
  private static Tensor atMostOne(Tensor x) {
    return x.clamp_max(Ops.number(0)).exp();
  }

  private State lstm(Tensor raw, State last) {
    Tensor i = raw.select(2, 0).sigmoid();
    Tensor f = raw.select(2, 1).sigmoid();
    Tensor c = f.mul(last.c).add(i.mul(raw.select(2, 2).tanh()));
    return new State(clipped(raw.select(2, 3).sigmoid().mul(c.tanh())), c, last.n, last.m);
  }

  private Tensor clipped(Tensor y) {
    return forwardClip == null
        ? y
        : y.clamp_max(Ops.number(forwardClip)).clamp_min(Ops.number(-forwardClip));
  }

  /// y as the recurrent product reads it: the gradient of R is whole, that of y may be bounded.
  private Tensor fedBack(Tensor y) {
    if (recurrentCut) {
      return y.detach();
    }
    if (recurrentClip == null || !y.requires_grad()) {
      return y;
    }
    Tensor alias = y.view_as(y);
    alias.register_hook(CLIPS.computeIfAbsent(recurrentClip, SlstmCell::clip));
    return alias;
  }

  /// A hook must outlive the backward pass, which only the caller knows. It has no state, so one
  /// per bound serves every tensor of every thread and is never freed.
  private static TensorTensorHook clip(double bound) {
    var hook =
        new TensorTensorHook() {
          @Override
          public TensorBase call(TensorBase gradient) { // the caller's scope owns the result
            return new Tensor(gradient).clamp_max(Ops.number(bound)).clamp_min(Ops.number(-bound));
          }
        };
    hook.retainReference();
    return hook;
  }
}
