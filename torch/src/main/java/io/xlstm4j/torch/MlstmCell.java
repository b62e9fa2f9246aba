package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.log_sigmoid;
import static org.bytedeco.pytorch.global.torch.matmul;
import static org.bytedeco.pytorch.global.torch.maximum;
import static org.bytedeco.pytorch.global.torch.where;

import io.xlstm4j.core.Check;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The mLSTM cell: matrix memory, exponential gates (docs/math.md 2; Beck et al. 2024,
/// arXiv:2405.04517, eq. 19-27), in three forms that give the same numbers.
///
/// Shapes: q, k `(B, NH, S, DHQK)`, v and h `(B, NH, S, DHV)`, gates before their activation `(B,
/// NH, S)`. Queries are scaled by `DHQK^-0.5` inside. The stabilizer m is detached: every gradient
/// through it vanishes but for eps.
///
/// q, k and v may be bfloat16 or float16, all three in one type. Gates and states are float32 (or
/// wider) either way: gates are widened, states of a half type are refused. h then has the type of
/// v, and gradients have the types of their inputs. [#chunkwise] and [#parallel] compute the matrix
/// products in the half type, which libtorch sums in float32 on GPUs, and all else in float32;
/// [#step] and [#recurrent] widen q, k and v first.
///
/// On libtorch operations: the reference implementation that the fused kernels are checked against,
/// and the form for GPUs.
public final class MlstmCell {
  /// Added to the denominator after the maximum.
  static final double EPS = 1e-6;

  private MlstmCell() {}

  /// The state of the cell.
  ///
  /// @param c memory `(B, NH, DHQK, DHV)`, holds k vᵀ and the factor exp(-m)
  /// @param n normalizer `(B, NH, DHQK)`, with the same factor
  /// @param m stabilizer `(B, NH)`, natural-log scale
  public record State(Tensor c, Tensor n, Tensor m) implements Scopes.Tensors {
    /// The state before the first token: all zero, m too.
    public static State zero(long batch, long heads, long qkDim, long vDim, Tensor like) {
      Tensor wide = Ops.atLeastFloat32(like);
      return new State(
          Ops.zerosLike(wide, batch, heads, qkDim, vDim),
          Ops.zerosLike(wide, batch, heads, qkDim),
          Ops.zerosLike(wide, batch, heads));
    }

    /// @throws IllegalArgumentException that names the first part of a wrong shape
    void check(long batch, long heads, long qkDim, long vDim) {
      Ops.expectShape("state c", c, "(B, NH, DHQK, DHV)", batch, heads, qkDim, vDim);
      Ops.expectShape("state n", n, "(B, NH, DHQK)", batch, heads, qkDim);
      Ops.expectShape("state m", m, "(B, NH)", batch, heads);
      for (Tensor part : tensors()) {
        ScalarType type = part.scalar_type().intern();
        if (isHalf(type)) {
          throw new IllegalArgumentException(
              "a state must be float32 or wider, but a part is " + type);
        }
      }
    }

    @Override
    public List<Tensor> tensors() {
      return List.of(c, n, m);
    }
  }

  /// @param h `(B, NH, S, DHV)`, or without S from [#step]
  /// @param state after the last token
  public record Output(Tensor h, State state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      return List.of(h, state.c, state.n, state.m);
    }
  }

  /// Advances by one token: q, k `(B, NH, DHQK)`, v `(B, NH, DHV)`, gates `(B, NH)`. docs/math.md
  /// 2.1.
  public static Output step(Tensor q, Tensor k, Tensor v, Tensor iPre, Tensor fPre, State last) {
    @Nullable ScalarType half = halfType(q, k, v);
    if (half == null) {
      return advance(q, k, v, iPre, fPre, last);
    }
    Output wide =
        advance(
            q.to(ScalarType.Float),
            k.to(ScalarType.Float),
            v.to(ScalarType.Float),
            Ops.atLeastFloat32(iPre),
            Ops.atLeastFloat32(fPre),
            last);
    return new Output(wide.h.to(half), wide.state);
  }

  private static Output advance(
      Tensor q, Tensor k, Tensor v, Tensor iPre, Tensor fPre, State last) {
    Tensor logF = log_sigmoid(fPre).add(last.m); // (B, NH)
    Tensor m = maximum(logF, iPre).detach(); // (B, NH), eq. 15
    Tensor i = Ops.column(iPre.sub(m).exp()); // (B, NH, 1), eq. 16
    Tensor f = Ops.column(logF.sub(m).exp()); // (B, NH, 1), eq. 17
    Tensor kv = Ops.column(k).mul(v.unsqueeze(-2)); // (B, NH, DHQK, DHV)
    Tensor c = Ops.column(f).mul(last.c).add(Ops.column(i).mul(kv)); // eq. 19
    Tensor n = f.mul(last.n).add(i.mul(k)); // (B, NH, DHQK), eq. 20
    Tensor qs = scaled(q); // (B, NH, DHQK)
    Tensor numerator = matmul(qs.unsqueeze(-2), c).squeeze(-2); // (B, NH, DHV)
    Tensor denominator = Ops.sumLast(qs.mul(n)); // (B, NH)
    return new Output(divide(numerator, denominator, m), new State(c, n, m)); // eq. 21
  }

  /// The whole sequence, one token after the other.
  public static Output recurrent(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor iPre,
      Tensor fPre,
      State initial,
      SequenceLayout layout) {
    check(q, k, v, iPre, fPre, initial, layout);
    @Nullable ScalarType half = halfType(q, k, v);
    Tensor queries = layout.padded(Ops.atLeastFloat32(q), 2);
    Tensor keys = layout.padded(Ops.atLeastFloat32(k), 2);
    Tensor values = layout.padded(Ops.atLeastFloat32(v), 2);
    Tensor igates = layout.padded(Ops.atLeastFloat32(iPre), 2);
    Tensor fgates = layout.padded(Ops.atLeastFloat32(fPre), 2);
    State state = initial;
    var hs = new ArrayList<Tensor>();
    for (long t = 0; t < q.size(2); t++) {
      SequenceLayout at = layout.narrow(t, 1); // masks (B, 1)
      State last = at.starts() == null ? state : cleared(state, at.starts());
      Output next =
          advance(
              queries.select(2, t),
              keys.select(2, t),
              values.select(2, t),
              igates.select(2, t),
              fgates.select(2, t),
              last);
      hs.add(next.h);
      state = at.valid() == null ? next.state : chosen(at.valid(), next.state, state);
    }
    Tensor h = Ops.stackAll(hs, 2);
    return new Output(half == null ? h : h.to(half), state);
  }

  /// The whole sequence at once, quadratic in its length. docs/math.md 2.2.
  public static Output parallel(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor iPre,
      Tensor fPre,
      State initial,
      SequenceLayout layout) {
    check(q, k, v, iPre, fPre, initial, layout);
    return chunk(q, k, v, Ops.atLeastFloat32(iPre), Ops.atLeastFloat32(fPre), initial, layout);
  }

  /// Chunks of up to `chunkLength` tokens at once, one chunk after the other: linear in the length.
  /// The chunkwise form (docs/math.md 2.3). Any length works; the last chunk may be shorter.
  public static Output chunkwise(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor iPre,
      Tensor fPre,
      State initial,
      SequenceLayout layout,
      int chunkLength) {
    Check.positive("chunkLength", chunkLength);
    check(q, k, v, iPre, fPre, initial, layout);
    long length = q.size(2);
    Tensor igates = Ops.atLeastFloat32(iPre);
    Tensor fgates = Ops.atLeastFloat32(fPre);
    State state = initial;
    var hs = new ArrayList<Tensor>();
    for (long from = 0; from < length; from += chunkLength) {
      long here = Math.min(chunkLength, length - from);
      Output next =
          chunk(
              q.narrow(2, from, here),
              k.narrow(2, from, here),
              v.narrow(2, from, here),
              igates.narrow(2, from, here),
              fgates.narrow(2, from, here),
              state,
              layout.narrow(from, here));
      hs.add(next.h);
      state = next.state;
    }
    return new Output(
        hs.size() == 1 ? hs.getFirst() : Ops.concat(2, hs.toArray(Tensor[]::new)), state);
  }

  /// The form that is cheapest for the length: the recurrence for one token, else chunks.
  static Output forward(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor iPre,
      Tensor fPre,
      State initial,
      SequenceLayout layout,
      int chunkLength) {
    return q.size(2) == 1
        ? recurrent(q, k, v, iPre, fPre, initial, layout)
        : chunkwise(q, k, v, iPre, fPre, initial, layout, chunkLength);
  }

  /// One chunk. Row l of `logD` says how much of each token j is left at l, `entry` how much of the
  /// entering state; the row of the last token is the update of the state.
  private static Output chunk(
      Tensor q, Tensor k, Tensor v, Tensor iPre, Tensor fPre, State last, SequenceLayout layout) {
    long length = q.size(2);
    @Nullable ScalarType half = halfType(q, k, v);
    Tensor keys = layout.padded(k, 2);
    Tensor values = layout.padded(v, 2);
    Tensor logF = log_sigmoid(layout.padded(fPre, 2)); // (B, NH, L)
    Tensor i = iPre;
    if (layout.valid() != null) { // padding forgets nothing and adds nothing
      Tensor valid = layout.valid().unsqueeze(1); // (B, 1, L)
      logF = Ops.whereElse(valid, logF, 0);
      i = Ops.whereElse(valid, i, Double.NEGATIVE_INFINITY);
    }
    Tensor reach = Ops.causal(length, q); // (L, L): j <= l
    Tensor carried = last.m.unsqueeze(2); // (B, NH, 1)
    @Nullable Tensor entered = null; // (B, 1, L): the entering document is still the current one
    @Nullable Tensor documents = layout.documents();
    if (documents != null) {
      Tensor document = documents.unsqueeze(1); // (B, 1, L)
      reach = reach.logical_and(Ops.column(document).eq(document.unsqueeze(2))); // (B, 1, L, L)
      entered = document.eq(Ops.number(0));
      carried = where(entered, carried, Ops.zerosLike(carried, 1)); // a fresh sequence has m = 0
    }
    // Sums over j < s <= l, added up and not subtracted: strong forgetting loses no digits.
    Tensor later = Ops.causal(length, q).logical_not().transpose(0, 1); // (L, L): s > j
    Tensor sums = Ops.whereElse(later, Ops.column(logF), 0).cumsum(2); // (B, NH, L, L)
    Tensor logD = Ops.whereElse(reach, sums.add(i.unsqueeze(2)), Double.NEGATIVE_INFINITY);
    Tensor entry =
        Ops.sumLast(Ops.whereElse(reach, logF.unsqueeze(2), 0)).add(carried); // (B, NH, L)

    Tensor m = maximum(entry, logD.amax(new long[] {-1}, false)).detach(); // (B, NH, L)
    Tensor d = logD.sub(Ops.column(m)).exp(); // (B, NH, L, L)
    Tensor u = entry.sub(m).exp(); // (B, NH, L)
    if (entered != null) {
      u = Ops.whereElse(entered, u, 0);
    }
    Tensor qs = scaled(layout.padded(q, 2));
    Tensor scores = product(qs, keys.transpose(2, 3), half).mul(d); // (B, NH, L, L)
    Tensor uq = Ops.column(u).mul(qs); // (B, NH, L, DHQK)
    Tensor numerator =
        product(uq, last.c, half).add(product(scores, values, half)); // (B, NH, L, DHV)
    Tensor denominator =
        matmul(uq, Ops.column(last.n)).squeeze(-1).add(Ops.sumLast(scores)); // (B, NH, L)

    Tensor uLast = u.narrow(2, length - 1, 1); // (B, NH, 1)
    Tensor dk = Ops.column(d.select(2, length - 1)).mul(keys); // (B, NH, L, DHQK)
    State state =
        new State(
            Ops.column(uLast).mul(last.c).add(product(dk.transpose(2, 3), values, half)),
            uLast.mul(last.n).add(dk.sum(2L)),
            m.select(2, length - 1));
    Tensor h = divide(numerator, denominator, m);
    return new Output(half == null ? h : h.to(half), state);
  }

  /// A matrix product in a half type, or as it is for null; float32 or wider comes out.
  private static Tensor product(Tensor a, Tensor b, @Nullable ScalarType half) {
    return half == null ? matmul(a, b) : matmul(a.to(half), b.to(half)).to(ScalarType.Float);
  }

  /// The type of q, k and v if it is narrower than float32, else null.
  ///
  /// @throws IllegalArgumentException if one of them is narrower and not all are of that type
  private static @Nullable ScalarType halfType(Tensor q, Tensor k, Tensor v) {
    ScalarType type = q.scalar_type().intern();
    ScalarType keys = k.scalar_type().intern();
    ScalarType values = v.scalar_type().intern();
    if (type == keys && type == values) {
      return isHalf(type) ? type : null;
    }
    if (isHalf(type) || isHalf(keys) || isHalf(values)) {
      throw new IllegalArgumentException(
          "q, k and v must have one type, but are %s, %s and %s".formatted(type, keys, values));
    }
    return null;
  }

  private static boolean isHalf(ScalarType type) {
    return type == ScalarType.BFloat16 || type == ScalarType.Half;
  }

  /// `numerator / (max(|denominator|, exp(-m)) + eps)`.
  private static Tensor divide(Tensor numerator, Tensor denominator, Tensor m) {
    Tensor size = denominator.abs();
    Tensor floor = m.neg().exp();
    Tensor bounded = where(size.gt(floor), size, floor); // a tie takes the floor's gradient: none
    return numerator.div(Ops.column(bounded.add(Ops.number(EPS))));
  }

  private static Tensor scaled(Tensor q) {
    return Ops.times(q, 1 / Math.sqrt((double) q.size(-1)));
  }

  private static State cleared(State state, Tensor start) {
    Tensor keep = start.logical_not(); // (B, 1)
    return new State(
        Ops.whereElse(keep.view(-1, 1, 1, 1), state.c, 0),
        Ops.whereElse(keep.view(-1, 1, 1), state.n, 0),
        Ops.whereElse(keep, state.m, 0));
  }

  private static State chosen(Tensor mask, State yes, State no) {
    return new State(
        where(mask.view(-1, 1, 1, 1), yes.c, no.c),
        where(mask.view(-1, 1, 1), yes.n, no.n),
        where(mask, yes.m, no.m));
  }

  private static void check(
      Tensor q, Tensor k, Tensor v, Tensor iPre, Tensor fPre, State state, SequenceLayout layout) {
    Ops.expectShape("q", q, "(B, NH, S, DHQK)", -1, -1, -1, -1);
    long batch = q.size(0);
    long heads = q.size(1);
    long length = q.size(2);
    long qkDim = q.size(3);
    Ops.expectShape("k", k, "(B, NH, S, DHQK)", batch, heads, length, qkDim);
    Ops.expectShape("v", v, "(B, NH, S, DHV)", batch, heads, length, -1);
    Ops.expectShape("igate", iPre, "(B, NH, S)", batch, heads, length);
    Ops.expectShape("fgate", fPre, "(B, NH, S)", batch, heads, length);
    state.check(batch, heads, qkDim, v.size(3));
    layout.check(batch, length);
    if (length == 0) {
      throw new IllegalArgumentException("a sequence must have at least one position");
    }
  }
}
