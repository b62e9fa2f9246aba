package io.xlstm4j.torch;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.GatedFeedForwardKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.HeadwiseShape;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.StridedMatrix;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// What stands around the cells in a block, on our own kernels: CPU, float32. Each is one pass over
/// memory where libtorch operations take several.
final class FusedLayers {
  private final Kernels kernels;

  FusedLayers(Kernels kernels) {
    this.kernels = kernels;
  }

  /// `silu(conv(x))`, depthwise, with the next tail; as [CausalConv1d#forward] and SiLU.
  ///
  /// @param weight `(C, 1, K)` with K > 1
  CausalConv1d.Output convSilu(
      Tensor x, Tensor weight, @Nullable Tensor bias, Tensor tail, SequenceLayout layout) {
    int batch = (int) x.size(0);
    int length = (int) x.size(1);
    int channels = (int) x.size(2);
    var size = new CausalConvKernel.Size(batch, length, channels, (int) weight.size(2));
    var inputs = new ArrayList<Tensor>();
    inputs.add(layout.padded(x, 1).contiguous());
    inputs.add(weight.contiguous());
    inputs.add(tail.contiguous());
    if (bias != null) {
      inputs.add(bias.contiguous());
    }
    TensorMemory.Masks masks = TensorMemory.Masks.of(layout);
    long tails = tail.numel();
    Tensor y = TensorMemory.floats(batch, length, channels);
    Tensor lastTail = TensorMemory.floats(Ops.shape(tail));
    var call = new ConvCall(size, TensorMemory.addresses(inputs), tails, masks.addresses());
    kernels
        .causalConv()
        .forward(
            size,
            call.inputs(),
            TensorMemory.segment(y),
            TensorMemory.segment(lastTail),
            kernels.threads());
    HandWrittenBackward.tie(
        inputs,
        List.of(y, lastTail),
        masks.tensors(),
        gradients -> convBackward(call, gradients[0], gradients[1]));
    return new CausalConv1d.Output(y, lastTail);
  }

  private record ConvCall(CausalConvKernel.Size size, long[] in, long tails, long[] masks) {
    private long tokens() {
      return (long) size.batch() * size.length() * size.channels();
    }

    boolean hasBias() {
      return in.length > 3;
    }

    CausalConvKernel.Inputs inputs() {
      long positions = (long) size.batch() * size.length();
      return new CausalConvKernel.Inputs(
          TensorMemory.memory(in[0], tokens()),
          TensorMemory.memory(in[1], (long) size.channels() * size.kernelSize()),
          hasBias() ? TensorMemory.memory(in[3], size.channels()) : null,
          TensorMemory.memory(in[2], tails),
          TensorMemory.mask(masks[0], positions),
          TensorMemory.mask(masks[1], positions));
    }
  }

  private Tensor[] convBackward(ConvCall call, @Nullable Tensor dY, @Nullable Tensor dLastTail) {
    CausalConvKernel.Size size = call.size;
    Tensor dy =
        dY == null ? TensorMemory.floats(size.batch(), size.length(), size.channels()).zero_() : dY;
    Tensor dx = TensorMemory.floats(size.batch(), size.length(), size.channels());
    Tensor dw = TensorMemory.floats(size.channels(), 1, size.kernelSize());
    Tensor dTail = TensorMemory.floats(size.batch(), size.kernelSize() - 1L, size.channels());
    @Nullable Tensor db = call.hasBias() ? TensorMemory.floats(size.channels()) : null;
    kernels
        .causalConv()
        .backward(
            size,
            call.inputs(),
            TensorMemory.segment(dy),
            dLastTail == null ? null : TensorMemory.segment(dLastTail),
            new CausalConvKernel.Gradients(
                TensorMemory.segment(dx),
                TensorMemory.segment(dw),
                db == null ? null : TensorMemory.segment(db),
                TensorMemory.segment(dTail)),
            kernels.threads());
    return db == null ? new Tensor[] {dx, dw, dTail} : new Tensor[] {dx, dw, dTail, db};
  }

  /// As [HeadwiseLinear#forward] without its bias.
  ///
  /// @param x `(B, S, NH * in)`
  /// @param weight `(NH, out, in)`
  Tensor headwise(Tensor x, Tensor weight) {
    var shape =
        new HeadwiseShape(
            (int) (x.size(0) * x.size(1)),
            (int) weight.size(0),
            (int) weight.size(2),
            (int) weight.size(1));
    List<Tensor> inputs = List.of(x.contiguous(), weight.contiguous());
    Tensor out = TensorMemory.floats(x.size(0), x.size(1), (long) shape.heads() * shape.out());
    var call = new HeadwiseCall(shape, TensorMemory.addresses(inputs), Ops.shape(x));
    kernels
        .headwise()
        .forward(shape, call.x(), call.weight(), call.rows(TensorMemory.address(out), shape.out()));
    return HandWrittenBackward.tie(
        inputs, out, List.of(), gradient -> headwiseBackward(call, TensorMemory.address(gradient)));
  }

  private record HeadwiseCall(HeadwiseShape shape, long[] in, long[] xShape) {
    StridedMatrix rows(long address, int width) {
      int stride = shape.heads() * width;
      return new StridedMatrix(TensorMemory.memory(address, (long) shape.positions() * stride), stride);
    }

    StridedMatrix x() {
      return rows(in[0], shape.in());
    }

    MemorySegment weight() {
      return TensorMemory.memory(in[1], (long) shape.heads() * shape.out() * shape.in());
    }
  }

  private Tensor[] headwiseBackward(HeadwiseCall call, long gradient) {
    HeadwiseShape shape = call.shape;
    Tensor dx = TensorMemory.floats(call.xShape);
    Tensor dw = TensorMemory.floats(shape.heads(), shape.out(), shape.in());
    kernels
        .headwise()
        .backward(
            shape,
            call.x(),
            call.weight(),
            call.rows(gradient, shape.out()),
            call.rows(TensorMemory.address(dx), shape.in()),
            false,
            TensorMemory.segment(dw));
    return new Tensor[] {dx, dw};
  }

  /// `(norm(h) (1 + w) + skip xc) silu(z)`, the norm over each head.
  ///
  /// @param h `(B, S, NH, DH)`
  /// @param weight w `(NH * DH)`
  /// @param skip `(NH * DH)`
  /// @param xc `(B, S, NH * DH)`
  /// @param z `(B, S, NH * DH)`
  /// @return `(B, S, NH * DH)`
  Tensor gatedHeadNorm(Tensor h, Tensor weight, Tensor skip, Tensor xc, Tensor z, double epsilon) {
    List<Tensor> inputs =
        List.of(
            h.contiguous(),
            weight.contiguous(),
            skip.contiguous(),
            xc.contiguous(),
            z.contiguous());
    return norm(inputs, h.size(2), h.size(3), Ops.shape(xc), epsilon);
  }

  /// `norm(x) (1 + w)`, the norm over the last axis.
  ///
  /// @param x of any shape
  /// @param weight w, of the last axis
  Tensor layerNorm(Tensor x, Tensor weight, double epsilon) {
    return norm(List.of(x.contiguous(), weight.contiguous()), 1, x.size(-1), Ops.shape(x), epsilon);
  }

  private Tensor norm(List<Tensor> inputs, long heads, long headDim, long[] shape, double epsilon) {
    long rows = inputs.getFirst().numel() / (heads * headDim);
    var size = new HeadNormKernel.Size((int) rows, (int) heads, (int) headDim);
    Tensor out = TensorMemory.floats(shape);
    Tensor statistics = TensorMemory.floats(rows, heads, 2);
    var call =
        new NormCall(
            size,
            TensorMemory.addresses(inputs),
            TensorMemory.address(statistics),
            (float) epsilon,
            inputs.stream().map(Ops::shape).toList());
    kernels
        .headNorm()
        .forward(
            size, call.inputs(), TensorMemory.segment(out), call.statistics(), kernels.threads());
    return HandWrittenBackward.tie(
        inputs,
        out,
        List.of(statistics),
        gradient -> normBackward(call, TensorMemory.address(gradient)));
  }

  private record NormCall(
      HeadNormKernel.Size size, long[] in, long save, float epsilon, List<long[]> shapes) {
    private long channels() {
      return (long) size.heads() * size.headDim();
    }

    private long all() {
      return size.rows() * channels();
    }

    boolean isGated() {
      return in.length == 5;
    }

    HeadNormKernel.Inputs inputs() {
      return new HeadNormKernel.Inputs(
          TensorMemory.memory(in[0], all()),
          TensorMemory.memory(in[1], channels()),
          isGated()
              ? new HeadNormKernel.Gate(
                  TensorMemory.memory(in[2], channels()),
                  TensorMemory.memory(in[3], all()),
                  TensorMemory.memory(in[4], all()))
              : null,
          epsilon);
    }

    MemorySegment statistics() {
      return TensorMemory.memory(save, 2L * size.rows() * size.heads());
    }
  }

  private Tensor[] normBackward(NormCall call, long gradient) {
    Tensor[] d = call.shapes.stream().map(TensorMemory::floats).toArray(Tensor[]::new);
    kernels
        .headNorm()
        .backward(
            call.size,
            call.inputs(),
            call.statistics(),
            TensorMemory.memory(gradient, call.all()),
            new HeadNormKernel.Gradients(
                TensorMemory.segment(d[0]),
                TensorMemory.segment(d[1]),
                call.isGated()
                    ? new HeadNormKernel.Gate(
                        TensorMemory.segment(d[2]),
                        TensorMemory.segment(d[3]),
                        TensorMemory.segment(d[4]))
                    : null,
                null),
            kernels.threads());
    return d;
  }

  /// `gelu(gate) up`.
  ///
  /// @param both `(B, S, 2 U)`, gate first
  /// @return `(B, S, U)`
  Tensor gatedGelu(Tensor both) {
    long width = both.size(2) / 2;
    var size = new GatedFeedForwardKernel.Size((int) (both.size(0) * both.size(1)), (int) width);
    List<Tensor> inputs = List.of(both.contiguous());
    long in = TensorMemory.address(inputs.getFirst());
    long[] shape = Ops.shape(both);
    Tensor out = TensorMemory.floats(both.size(0), both.size(1), width);
    kernels
        .gatedFeedForward()
        .forward(
            size,
            TensorMemory.memory(in, both.numel()),
            TensorMemory.segment(out),
            kernels.threads());
    return HandWrittenBackward.tie(
        inputs,
        out,
        List.of(),
        gradient -> {
          Tensor dBoth = TensorMemory.floats(shape);
          kernels
              .gatedFeedForward()
              .backward(
                  size,
                  TensorMemory.memory(in, dBoth.numel()),
                  TensorMemory.segment(gradient),
                  TensorMemory.segment(dBoth),
                  kernels.threads());
          return new Tensor[] {dBoth};
        });
  }
}
