package io.xlstm4j.torch;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.StridedMatrix;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The cells on our own kernels: CPU, float32. [SlstmCell] and [MlstmCell] are the reference
/// implementations that they are checked against.
final class FusedCells {
  private final Kernels kernels;

  FusedCells(Kernels kernels) {
    this.kernels = kernels;
  }

  /// Returns whether the kernels can take a tensor's kind.
  static boolean takes(Tensor x) {
    return x.scalar_type().intern() == ScalarType.Float && x.is_cpu();
  }

  /// As [SlstmCell#forward] of the paper's cell without clips.
  SlstmCell.Output slstm(
      Tensor wx, Tensor r, Tensor b, SlstmCell.State initial, SequenceLayout layout) {
    SlstmCell.check(wx, r, b, initial, layout);
    Tensor gates = layout.padded(wx, 1).contiguous();
    int batch = (int) wx.size(0);
    int length = (int) wx.size(1);
    int heads = (int) wx.size(3);
    int headDim = (int) wx.size(4);
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
    TensorSegments.Masks masks = TensorSegments.Masks.of(layout);
    boolean backward = HandWrittenBackward.isNeeded(inputs);
    Tensor y = TensorSegments.floats(batch, length, heads, headDim);
    Tensor[] last = new Tensor[4];
    for (int i = 0; i < 4; i++) {
      last[i] = TensorSegments.floats(batch, heads, headDim);
    }
    Tensor saved =
        TensorSegments.floats(backward ? kernels.slstm().savedBytes(size) / Float.BYTES : 1);
    var cell =
        new SlstmCall(
            size,
            TensorSegments.addresses(inputs),
            TensorSegments.address(y),
            TensorSegments.address(saved),
            masks.addresses());
    kernels
        .slstm()
        .forward(
            size,
            cell.inputs(),
            cell.y(),
            new SlstmKernel.State(
                TensorSegments.segment(last[0]),
                TensorSegments.segment(last[1]),
                TensorSegments.segment(last[2]),
                TensorSegments.segment(last[3])),
            backward ? cell.saved(kernels.slstm().savedBytes(size)) : null,
            kernels.threads());
    var kept = new ArrayList<Tensor>(masks.tensors());
    kept.add(saved);
    kept.add(y);
    HandWrittenBackward.tie(
        inputs,
        List.of(y, last[0], last[1], last[2], last[3]),
        kept,
        gradients -> slstmBackward(cell, gradients));
    return new SlstmCell.Output(y, new SlstmCell.State(last[0], last[1], last[2], last[3]));
  }

  /// Addresses of one call; whose memory is held by the graph.
  private record SlstmCall(SlstmKernel.Size size, long[] in, long out, long save, long[] masks) {
    private long states() {
      return (long) size.batch() * size.heads() * size.headDim();
    }

    SlstmKernel.Inputs inputs() {
      return new SlstmKernel.Inputs(
          TensorSegments.memory(in[0], states() * size.length() * 4),
          TensorSegments.memory(in[1], 4L * size.heads() * size.headDim() * size.headDim()),
          TensorSegments.memory(in[2], 4L * size.heads() * size.headDim()),
          new SlstmKernel.State(
              TensorSegments.memory(in[3], states()),
              TensorSegments.memory(in[4], states()),
              TensorSegments.memory(in[5], states()),
              TensorSegments.memory(in[6], states())),
          TensorSegments.mask(masks[0], (long) size.batch() * size.length()),
          TensorSegments.mask(masks[1], (long) size.batch() * size.length()));
    }

    MemorySegment y() {
      return TensorSegments.memory(out, states() * size.length());
    }

    MemorySegment saved(long bytes) {
      return MemorySegment.ofAddress(save).reinterpret(bytes);
    }
  }

  private Tensor[] slstmBackward(SlstmCall call, @Nullable Tensor[] gradients) {
    SlstmKernel.Size size = call.size;
    Tensor dwx =
        TensorSegments.floats(size.batch(), size.length(), 4, size.heads(), size.headDim());
    Tensor dr = TensorSegments.floats(size.heads(), size.headDim(), 4, size.headDim());
    Tensor db = TensorSegments.floats(size.heads(), 4, size.headDim());
    Tensor[] d0 = new Tensor[4];
    for (int i = 0; i < 4; i++) {
      d0[i] = TensorSegments.floats(size.batch(), size.heads(), size.headDim());
    }
    Tensor dy =
        gradients[0] == null
            ? TensorSegments.floats(size.batch(), size.length(), size.heads(), size.headDim())
                .zero_()
            : gradients[0];
    kernels
        .slstm()
        .backward(
            size,
            call.inputs(),
            call.y(),
            call.saved(kernels.slstm().savedBytes(size)),
            TensorSegments.segment(dy),
            new SlstmKernel.StateGradients(
                TensorSegments.optional(gradients[1]),
                TensorSegments.optional(gradients[2]),
                TensorSegments.optional(gradients[3]),
                TensorSegments.optional(gradients[4])),
            new SlstmKernel.Gradients(
                TensorSegments.segment(dwx),
                TensorSegments.segment(dr),
                TensorSegments.segment(db),
                new SlstmKernel.State(
                    TensorSegments.segment(d0[0]),
                    TensorSegments.segment(d0[1]),
                    TensorSegments.segment(d0[2]),
                    TensorSegments.segment(d0[3]))),
            kernels.threads());
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
    initial.check(batch, heads, q.size(2) / heads, v.size(2) / heads);
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
    TensorSegments.Masks masks = TensorSegments.Masks.of(layout);
    boolean backward = HandWrittenBackward.isNeeded(inputs);
    Tensor h = TensorSegments.floats(batch, length, heads, shape.vDim());
    Tensor c = TensorSegments.floats(batch, heads, shape.qkDim(), shape.vDim());
    Tensor n = TensorSegments.floats(batch, heads, shape.qkDim());
    Tensor m = TensorSegments.floats(batch, heads);
    Tensor saved =
        TensorSegments.floats(backward ? kernels.mlstm().savedBytes(shape) / Float.BYTES + 2 : 1);
    var call =
        new MlstmCall(
            shape,
            TensorSegments.addresses(inputs),
            TensorSegments.address(h),
            TensorSegments.address(saved),
            masks.addresses());
    kernels
        .mlstm()
        .forward(
            shape,
            call.inputs(),
            call.initial(),
            call.h(),
            new MlstmState(
                TensorSegments.segment(c), TensorSegments.segment(n), TensorSegments.segment(m)),
            backward ? call.saved(kernels.mlstm().savedBytes(shape)) : null);
    var kept = new ArrayList<Tensor>(masks.tensors());
    kept.add(saved);
    kept.add(h);
    HandWrittenBackward.tie(
        inputs, List.of(h, c, n), kept, gradients -> mlstmBackward(call, gradients));
    return new MlstmCell.Output(h, new MlstmCell.State(c, n, m));
  }

  /// Addresses of one call; whose memory is held by the graph.
  private record MlstmCall(MlstmShape shape, long[] in, long out, long save, long[] masks) {
    private long positions() {
      return (long) shape.batch() * shape.length();
    }

    private long pairs() {
      return (long) shape.batch() * shape.heads();
    }

    private StridedMatrix rows(long address, int width) {
      int stride = shape.heads() * width;
      return new StridedMatrix(TensorSegments.memory(address, positions() * stride), stride);
    }

    MlstmInputs inputs() {
      return new MlstmInputs(
          rows(in[0], shape.qkDim()),
          rows(in[1], shape.qkDim()),
          rows(in[2], shape.vDim()),
          rows(in[3], 1),
          rows(in[4], 1),
          TensorSegments.mask(masks[0], positions()),
          TensorSegments.mask(masks[1], positions()));
    }

    MlstmState initial() {
      return new MlstmState(
          TensorSegments.memory(in[5], cs()),
          TensorSegments.memory(in[6], ns()),
          TensorSegments.memory(in[7], pairs()));
    }

    private long cs() {
      return pairs() * shape.qkDim() * shape.vDim();
    }

    private long ns() {
      return pairs() * shape.qkDim();
    }

    StridedMatrix h() {
      return rows(out, shape.vDim());
    }

    MemorySegment saved(long bytes) {
      return MemorySegment.ofAddress(save).reinterpret(bytes);
    }
  }

  private Tensor[] mlstmBackward(MlstmCall call, @Nullable Tensor[] gradients) {
    MlstmShape shape = call.shape;
    int batch = shape.batch();
    int length = shape.length();
    int heads = shape.heads();
    Tensor dq = TensorSegments.floats(batch, length, (long) heads * shape.qkDim());
    Tensor dk = TensorSegments.floats(batch, length, (long) heads * shape.qkDim());
    Tensor dv = TensorSegments.floats(batch, length, (long) heads * shape.vDim());
    Tensor di = TensorSegments.floats(batch, length, heads);
    Tensor df = TensorSegments.floats(batch, length, heads);
    Tensor dc = TensorSegments.floats(batch, heads, shape.qkDim(), shape.vDim());
    Tensor dn = TensorSegments.floats(batch, heads, shape.qkDim());
    Tensor dm = TensorSegments.floats(batch, heads).zero_();
    Tensor dH =
        gradients[0] == null
            ? TensorSegments.floats(batch, length, heads, shape.vDim()).zero_()
            : gradients[0];
    Tensor dLastC =
        gradients[1] == null ? TensorSegments.floats(Ops.shape(dc)).zero_() : gradients[1];
    Tensor dLastN =
        gradients[2] == null ? TensorSegments.floats(Ops.shape(dn)).zero_() : gradients[2];
    boolean carries = gradients[1] != null || gradients[2] != null;
    kernels
        .mlstm()
        .backward(
            shape,
            call.inputs(),
            call.h(),
            call.saved(kernels.mlstm().savedBytes(shape)),
            call.rows(TensorSegments.address(dH), shape.vDim()),
            carries
                ? new MlstmStateGradient(
                    TensorSegments.segment(dLastC), TensorSegments.segment(dLastN))
                : null,
            new MlstmGradients(
                call.rows(TensorSegments.address(dq), shape.qkDim()),
                call.rows(TensorSegments.address(dk), shape.qkDim()),
                call.rows(TensorSegments.address(dv), shape.vDim()),
                call.rows(TensorSegments.address(di), 1),
                call.rows(TensorSegments.address(df), 1)),
            new MlstmStateGradient(TensorSegments.segment(dc), TensorSegments.segment(dn)));
    return new Tensor[] {dq, dk, dv, di, df, dc, dn, dm};
  }
}
