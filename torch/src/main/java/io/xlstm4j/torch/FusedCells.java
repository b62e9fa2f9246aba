package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.empty;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmRows;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.SlstmKernel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The cells on our own kernels: CPU, float32. [SlstmCell] and [MlstmCell] are the twins that they
/// are held to.
///
/// Outputs and final state of a call are one block of memory, and so are their gradients: then one
/// hook sees them all.
final class FusedCells {
  private final Kernels kernels;

  FusedCells(Kernels kernels) {
    this.kernels = kernels;
  }

  /// Whether the kernels can take a tensor's kind.
  static boolean takes(Tensor x) {
    return x.scalar_type().intern() == ScalarType.Float && !x.is_cuda();
  }

  /// As [SlstmCell#forward] of the paper's cell without clips.
  SlstmCell.Output slstm(
      Tensor wx, Tensor r, Tensor b, SlstmCell.State initial, SequenceLayout layout) {
    Tensor gates = layout.padded(wx, 1).contiguous();
    int batch = (int) wx.size(0);
    int length = (int) wx.size(1);
    int heads = (int) wx.size(3);
    int headDim = (int) wx.size(4);
    layout.check(batch, length);
    var size = new SlstmKernel.Size(batch, length, heads, headDim);
    List<Tensor> inputs =
        List.of(
            gates,
            r.contiguous(),
            b.contiguous(),
            initial.y().contiguous(),
            initial.c().contiguous(),
            initial.n().contiguous(),
            initial.m().contiguous());
    Masks masks = Masks.of(layout);
    boolean backward = HandWrittenBackward.isNeeded(inputs);
    long states = (long) batch * heads * headDim;
    Tensor out = floats(states * length + 4 * states);
    Tensor saved = floats(backward ? kernels.slstm().savedBytes(size) / Float.BYTES : 1);
    var cell =
        new SlstmCall(size, addresses(inputs), address(out), address(saved), masks.addresses());
    kernels
        .slstm()
        .forward(
            size,
            cell.inputs(),
            cell.y(),
            cell.last(),
            backward ? cell.saved(kernels.slstm().savedBytes(size)) : null,
            kernels.workers());
    var kept = new ArrayList<Tensor>(masks.tensors());
    kept.add(saved);
    Tensor tied =
        HandWrittenBackward.tie(
            inputs, out, kept, gradient -> slstmBackward(cell, address(gradient)));
    Tensor y = tied.narrow(0, 0, states * length).view(batch, length, heads, headDim);
    Tensor[] last = new Tensor[4];
    for (int i = 0; i < 4; i++) {
      last[i] = tied.narrow(0, states * (length + i), states).view(batch, heads, headDim);
    }
    return new SlstmCell.Output(y, new SlstmCell.State(last[0], last[1], last[2], last[3]));
  }

  /// Addresses of one call; whose memory is held by the graph.
  private record SlstmCall(SlstmKernel.Size size, long[] in, long out, long save, long[] masks) {
    private long states() {
      return (long) size.batch() * size.heads() * size.headDim();
    }

    private SlstmKernel.State state(long first) {
      long bytes = states() * Float.BYTES;
      return new SlstmKernel.State(
          memory(first, states()),
          memory(first + bytes, states()),
          memory(first + 2 * bytes, states()),
          memory(first + 3 * bytes, states()));
    }

    SlstmKernel.Inputs inputs() {
      return new SlstmKernel.Inputs(
          memory(in[0], states() * size.length() * 4),
          memory(in[1], 4L * size.heads() * size.headDim() * size.headDim()),
          memory(in[2], 4L * size.heads() * size.headDim()),
          new SlstmKernel.State(
              memory(in[3], states()),
              memory(in[4], states()),
              memory(in[5], states()),
              memory(in[6], states())),
          mask(masks[0], (long) size.batch() * size.length()),
          mask(masks[1], (long) size.batch() * size.length()));
    }

    MemorySegment y() {
      return memory(out, states() * size.length());
    }

    SlstmKernel.State last() {
      return state(out + states() * size.length() * Float.BYTES);
    }

    MemorySegment saved(long bytes) {
      return MemorySegment.ofAddress(save).reinterpret(bytes);
    }
  }

  private Tensor[] slstmBackward(SlstmCall call, long gradient) {
    SlstmKernel.Size size = call.size;
    long states = call.states();
    Tensor dwx = floats(size.batch(), size.length(), 4, size.heads(), size.headDim());
    Tensor dr = floats(size.heads(), size.headDim(), 4, size.headDim());
    Tensor db = floats(size.heads(), 4, size.headDim());
    Tensor[] d0 = new Tensor[4];
    for (int i = 0; i < 4; i++) {
      d0[i] = floats(size.batch(), size.heads(), size.headDim());
    }
    long dLast = gradient + states * size.length() * Float.BYTES;
    long bytes = states * Float.BYTES;
    kernels
        .slstm()
        .backward(
            size,
            call.inputs(),
            call.y(),
            call.saved(kernels.slstm().savedBytes(size)),
            memory(gradient, states * size.length()),
            new SlstmKernel.StateGradients(
                memory(dLast, states),
                memory(dLast + bytes, states),
                memory(dLast + 2 * bytes, states),
                memory(dLast + 3 * bytes, states)),
            new SlstmKernel.Gradients(
                segment(dwx),
                segment(dr),
                segment(db),
                new SlstmKernel.State(
                    segment(d0[0]), segment(d0[1]), segment(d0[2]), segment(d0[3]))),
            kernels.workers());
    return new Tensor[] {dwx, dr, db, d0[0], d0[1], d0[2], d0[3]};
  }

  /// As [MlstmCell#chunkwise], but with positions before heads.
  ///
  /// @param q, k `(B, S, NH * DHQK)`
  /// @param v `(B, S, NH * DHV)`
  /// @param iPre, fPre `(B, S, NH)`
  /// @return h `(B, S, NH, DHV)`
  MlstmCell.Output mlstm(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor iPre,
      Tensor fPre,
      MlstmCell.State initial,
      SequenceLayout layout) {
    int batch = (int) q.size(0);
    int length = (int) q.size(1);
    int heads = (int) iPre.size(2);
    layout.check(batch, length);
    var shape =
        new MlstmShape(batch, length, heads, (int) q.size(2) / heads, (int) v.size(2) / heads);
    List<Tensor> inputs =
        List.of(
            layout.padded(q, 1).contiguous(),
            layout.padded(k, 1).contiguous(),
            layout.padded(v, 1).contiguous(),
            layout.padded(iPre, 1).contiguous(),
            layout.padded(fPre, 1).contiguous(),
            initial.c().contiguous(),
            initial.n().contiguous(),
            initial.m().detach().contiguous());
    Masks masks = Masks.of(layout);
    boolean backward = HandWrittenBackward.isNeeded(inputs);
    long pairs = (long) batch * heads;
    long hs = pairs * length * shape.vDim();
    long cs = pairs * shape.qkDim() * shape.vDim();
    long ns = pairs * shape.qkDim();
    Tensor out = floats(hs + cs + ns + pairs);
    Tensor saved = floats(backward ? kernels.mlstm().savedBytes(shape) / Float.BYTES + 2 : 1);
    var call =
        new MlstmCall(shape, addresses(inputs), address(out), address(saved), masks.addresses());
    kernels
        .mlstm()
        .forward(
            shape,
            call.inputs(),
            call.initial(),
            call.h(),
            call.last(),
            backward ? call.saved(kernels.mlstm().savedBytes(shape)) : null);
    var kept = new ArrayList<Tensor>(masks.tensors());
    kept.add(saved);
    Tensor tied =
        HandWrittenBackward.tie(
            inputs, out, kept, gradient -> mlstmBackward(call, address(gradient)));
    return new MlstmCell.Output(
        tied.narrow(0, 0, hs).view(batch, length, heads, shape.vDim()),
        new MlstmCell.State(
            tied.narrow(0, hs, cs).view(batch, heads, shape.qkDim(), shape.vDim()),
            tied.narrow(0, hs + cs, ns).view(batch, heads, shape.qkDim()),
            tied.narrow(0, hs + cs + ns, pairs).view(batch, heads).detach()));
  }

  /// Addresses of one call; whose memory is held by the graph.
  private record MlstmCall(MlstmShape shape, long[] in, long out, long save, long[] masks) {
    private long positions() {
      return (long) shape.batch() * shape.length();
    }

    private long pairs() {
      return (long) shape.batch() * shape.heads();
    }

    private MlstmRows rows(long address, int width) {
      int stride = shape.heads() * width;
      return new MlstmRows(memory(address, positions() * stride), stride);
    }

    MlstmInputs inputs() {
      return new MlstmInputs(
          rows(in[0], shape.qkDim()),
          rows(in[1], shape.qkDim()),
          rows(in[2], shape.vDim()),
          rows(in[3], 1),
          rows(in[4], 1),
          mask(masks[0], positions()),
          mask(masks[1], positions()));
    }

    MlstmState initial() {
      return new MlstmState(memory(in[5], cs()), memory(in[6], ns()), memory(in[7], pairs()));
    }

    private long cs() {
      return pairs() * shape.qkDim() * shape.vDim();
    }

    private long ns() {
      return pairs() * shape.qkDim();
    }

    private long hs() {
      return positions() * shape.heads() * shape.vDim();
    }

    MlstmRows h() {
      return rows(out, shape.vDim());
    }

    MlstmState last() {
      long c = out + hs() * Float.BYTES;
      long n = c + cs() * Float.BYTES;
      long m = n + ns() * Float.BYTES;
      return new MlstmState(memory(c, cs()), memory(n, ns()), memory(m, pairs()));
    }

    MemorySegment saved(long bytes) {
      return MemorySegment.ofAddress(save).reinterpret(bytes);
    }
  }

  private Tensor[] mlstmBackward(MlstmCall call, long gradient) {
    MlstmShape shape = call.shape;
    int batch = shape.batch();
    int length = shape.length();
    int heads = shape.heads();
    Tensor dq = floats(batch, length, (long) heads * shape.qkDim());
    Tensor dk = floats(batch, length, (long) heads * shape.qkDim());
    Tensor dv = floats(batch, length, (long) heads * shape.vDim());
    Tensor di = floats(batch, length, heads);
    Tensor df = floats(batch, length, heads);
    Tensor dc = floats(batch, heads, shape.qkDim(), shape.vDim());
    Tensor dn = floats(batch, heads, shape.qkDim());
    Tensor dm = floats(batch, heads).zero_();
    long dLast = gradient + call.hs() * Float.BYTES;
    kernels
        .mlstm()
        .backward(
            shape,
            call.inputs(),
            call.h(),
            call.saved(kernels.mlstm().savedBytes(shape)),
            call.rows(gradient, shape.vDim()),
            new MlstmStateGradient(
                memory(dLast, call.cs()), memory(dLast + call.cs() * Float.BYTES, call.ns())),
            new MlstmGradients(
                call.rows(address(dq), shape.qkDim()),
                call.rows(address(dk), shape.qkDim()),
                call.rows(address(dv), shape.vDim()),
                call.rows(address(di), 1),
                call.rows(address(df), 1)),
            new MlstmStateGradient(segment(dc), segment(dn)));
    return new Tensor[] {dq, dk, dv, di, df, dc, dn, dm};
  }

  /// The masks as bytes, and who owns them.
  private record Masks(@Nullable Tensor valid, @Nullable Tensor starts) {
    static Masks of(SequenceLayout layout) {
      return new Masks(
          layout.valid() == null ? null : layout.valid().contiguous(),
          layout.starts() == null ? null : layout.starts().contiguous());
    }

    long[] addresses() {
      return new long[] {valid == null ? 0 : address(valid), starts == null ? 0 : address(starts)};
    }

    List<Tensor> tensors() {
      var tensors = new ArrayList<Tensor>();
      if (valid != null) {
        tensors.add(valid);
      }
      if (starts != null) {
        tensors.add(starts);
      }
      return tensors;
    }
  }

  private static Tensor floats(long... shape) {
    return empty(shape, new TensorOptions(ScalarType.Float), null);
  }

  private static long address(Tensor x) {
    return x.data_ptr().address();
  }

  private static long[] addresses(List<Tensor> tensors) {
    return tensors.stream().mapToLong(FusedCells::address).toArray();
  }

  private static MemorySegment segment(Tensor x) {
    return memory(address(x), x.numel());
  }

  private static MemorySegment memory(long address, long floats) {
    return MemorySegment.ofAddress(address).reinterpret(floats * Float.BYTES);
  }

  private static @Nullable MemorySegment mask(long address, long positions) {
    return address == 0 ? null : MemorySegment.ofAddress(address).reinterpret(positions);
  }
}
