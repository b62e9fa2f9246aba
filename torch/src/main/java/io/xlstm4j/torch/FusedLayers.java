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

/// The layers around the cell in a block (norm, convolution, projections) on our own kernels: CPU,
/// float32. Each is one pass over memory where libtorch operations take several.
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
    TensorSegments.Masks masks = TensorSegments.Masks.of(layout);
    long tails = tail.numel();
    Tensor y = TensorSegments.floats(batch, length, channels);
    Tensor lastTail = TensorSegments.floats(Ops.shape(tail));
    var call = new ConvCall(size, TensorSegments.addresses(inputs), tails, masks.addresses());
    kernels
        .causalConv()
        .forward(
            size,
            call.inputs(),
            TensorSegments.segment(y),
            TensorSegments.segment(lastTail),
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
          TensorSegments.memory(in[0], tokens()),
          TensorSegments.memory(in[1], (long) size.channels() * size.kernelSize()),
          hasBias() ? TensorSegments.memory(in[3], size.channels()) : null,
          TensorSegments.memory(in[2], tails),
          TensorSegments.mask(masks[0], positions),
          TensorSegments.mask(masks[1], positions));
    }
  }

  private Tensor[] convBackward(ConvCall call, @Nullable Tensor dY, @Nullable Tensor dLastTail) {
    CausalConvKernel.Size size = call.size;
    Tensor dy =
        dY == null
            ? TensorSegments.floats(size.batch(), size.length(), size.channels()).zero_()
            : dY;
    Tensor dx = TensorSegments.floats(size.batch(), size.length(), size.channels());
    Tensor dw = TensorSegments.floats(size.channels(), 1, size.kernelSize());
    Tensor dTail = TensorSegments.floats(size.batch(), size.kernelSize() - 1L, size.channels());
    @Nullable Tensor db = call.hasBias() ? TensorSegments.floats(size.channels()) : null;
    kernels
        .causalConv()
        .backward(
            size,
            call.inputs(),
            TensorSegments.segment(dy),
            dLastTail == null ? null : TensorSegments.segment(dLastTail),
            new CausalConvKernel.Gradients(
                TensorSegments.segment(dx),
                TensorSegments.segment(dw),
                db == null ? null : TensorSegments.segment(db),
                TensorSegments.segment(dTail)),
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
    Tensor out = TensorSegments.floats(x.size(0), x.size(1), (long) shape.heads() * shape.out());
    var call = new HeadwiseCall(shape, TensorSegments.addresses(inputs), Ops.shape(x));
    kernels
        .headwise()
        .forward(
            shape, call.x(), call.weight(), call.rows(TensorSegments.address(out), shape.out()));
    return HandWrittenBackward.tie(
        inputs,
        out,
        List.of(),
        gradient -> headwiseBackward(call, TensorSegments.address(gradient)));
  }

  private record HeadwiseCall(HeadwiseShape shape, long[] in, long[] xShape) {
    StridedMatrix rows(long address, int width) {
      int stride = shape.heads() * width;
      return new StridedMatrix(
          TensorSegments.memory(address, (long) shape.positions() * stride), stride);
    }

    StridedMatrix x() {
      return rows(in[0], shape.in());
    }

    MemorySegment weight() {
      return TensorSegments.memory(in[1], (long) shape.heads() * shape.out() * shape.in());
    }
  }

  private Tensor[] headwiseBackward(HeadwiseCall call, long gradient) {
    HeadwiseShape shape = call.shape;
    Tensor dx = TensorSegments.floats(call.xShape);
    Tensor dw = TensorSegments.floats(shape.heads(), shape.out(), shape.in());
    kernels
        .headwise()
        .backward(
            shape,
            call.x(),
            call.weight(),
            call.rows(gradient, shape.out()),
            call.rows(TensorSegments.address(dx), shape.in()),
            false,
            TensorSegments.segment(dw));
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
    Tensor out = TensorSegments.floats(shape);
    Tensor statistics = TensorSegments.floats(rows, heads, 2);
    var call =
        new NormCall(
            size,
            TensorSegments.addresses(inputs),
            TensorSegments.address(statistics),
            (float) epsilon,
            inputs.stream().map(Ops::shape).toList());
    kernels
        .headNorm()
        .forward(
            size, call.inputs(), TensorSegments.segment(out), call.statistics(), kernels.threads());
    return HandWrittenBackward.tie(
        inputs,
        out,
        List.of(statistics),
        gradient -> normBackward(call, TensorSegments.address(gradient)));
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
          TensorSegments.memory(in[0], all()),
          TensorSegments.memory(in[1], channels()),
          isGated()
              ? new HeadNormKernel.Gate(
                  TensorSegments.memory(in[2], channels()),
                  TensorSegments.memory(in[3], all()),
                  TensorSegments.memory(in[4], all()))
              : null,
          epsilon);
    }

    MemorySegment statistics() {
      return TensorSegments.memory(save, 2L * size.rows() * size.heads());
    }
  }

  private Tensor[] normBackward(NormCall call, long gradient) {
    Tensor[] d = call.shapes.stream().map(TensorSegments::floats).toArray(Tensor[]::new);
    kernels
        .headNorm()
        .backward(
            call.size,
            call.inputs(),
            call.statistics(),
            TensorSegments.memory(gradient, call.all()),
            new HeadNormKernel.Gradients(
                TensorSegments.segment(d[0]),
                TensorSegments.segment(d[1]),
                call.isGated()
                    ? new HeadNormKernel.Gate(
                        TensorSegments.segment(d[2]),
                        TensorSegments.segment(d[3]),
                        TensorSegments.segment(d[4]))
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
    long in = TensorSegments.address(inputs.getFirst());
    long[] shape = Ops.shape(both);
    Tensor out = TensorSegments.floats(both.size(0), both.size(1), width);
    kernels
        .gatedFeedForward()
        .forward(
            size,
            TensorSegments.memory(in, both.numel()),
            TensorSegments.segment(out),
            kernels.threads());
    return HandWrittenBackward.tie(
        inputs,
        out,
        List.of(),
        gradient -> {
          Tensor dBoth = TensorSegments.floats(shape);
          kernels
              .gatedFeedForward()
              .backward(
                  size,
                  TensorSegments.memory(in, dBoth.numel()),
                  TensorSegments.segment(gradient),
                  TensorSegments.segment(dBoth),
                  kernels.threads());
          return new Tensor[] {dBoth};
        });
  }
}
