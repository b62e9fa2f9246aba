package io.xlstm4j.torch;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.slstm.SlstmGradients;
import io.xlstm4j.cuda.slstm.SlstmInputs;
import io.xlstm4j.cuda.slstm.SlstmPlan;
import io.xlstm4j.cuda.slstm.SlstmShape;
import io.xlstm4j.cuda.slstm.SlstmState;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// One pass of the sLSTM kernel over a sequence, tied to libtorch's graph. Holds addresses, and no
/// tensors: the graph holds the memory until the backward pass.
///
/// @param in wx, r, bias, and the initial y, c, n, m
/// @param masks valid and starts, 0 for none
/// @param out of y
/// @param saved what the forward pass fills for the backward pass, 0 for nothing
@SuppressWarnings("ArrayRecordComponent") // never compared
record CudaSlstm(
    CudaCells cells,
    SlstmShape shape,
    ElementType type,
    long[] in,
    long[] masks,
    long out,
    long saved) {
  private static final int STATE_PARTS = 4;

  static SlstmCell.Output forward(
      CudaCells cells,
      Tensor wx,
      Tensor r,
      Tensor b,
      SlstmCell.State initial,
      SequenceLayout layout) {
    var shape =
        new SlstmShape((int) wx.size(0), (int) wx.size(1), (int) wx.size(3), (int) wx.size(4));
    ElementType type = Objects.requireNonNull(CudaCells.type(wx));
    ScalarType values = wx.scalar_type().intern();
    Device device = wx.device();
    List<Tensor> inputs =
        List.of(
            CudaTensors.aligned(layout.padded(wx, 1)),
            CudaTensors.aligned(r.to(values)),
            CudaTensors.aligned(b.to(ScalarType.Float)),
            CudaTensors.aligned(initial.y().to(ScalarType.Float)),
            CudaTensors.aligned(initial.c().to(ScalarType.Float)),
            CudaTensors.aligned(initial.n().to(ScalarType.Float)),
            CudaTensors.aligned(initial.m().to(ScalarType.Float)));
    var kept = new ArrayList<Tensor>();
    long[] masks = {
      CudaTensors.maskAddress(layout.valid(), kept), CudaTensors.maskAddress(layout.starts(), kept)
    };
    boolean backward = HandWrittenBackward.isNeeded(inputs);
    Tensor y =
        CudaTensors.make(
            device, values, shape.batch(), shape.length(), shape.heads(), shape.headDim());
    Tensor[] last = states(device, shape);
    CudaSlstm call;
    synchronized (cells) {
      SlstmPlan plan = cells.plan(shape, type);
      @Nullable Tensor saved = backward ? CudaTensors.bytes(device, plan.savedBytes()) : null;
      Tensor workspace = CudaTensors.bytes(device, plan.workspaceBytes());
      call =
          new CudaSlstm(
              cells,
              shape,
              type,
              TensorSegments.addresses(inputs),
              masks,
              TensorSegments.address(y),
              saved == null ? 0 : TensorSegments.address(saved));
      plan.forward(
          cells.stream(),
          call.inputs(),
          call.y(),
          state(last),
          saved == null ? null : CudaTensors.span(saved),
          CudaTensors.span(workspace));
      if (saved != null) {
        kept.add(saved);
      }
    }
    kept.add(y);
    HandWrittenBackward.tie(
        inputs, List.of(y, last[0], last[1], last[2], last[3]), kept, call::backward);
    return new SlstmCell.Output(y, new SlstmCell.State(last[0], last[1], last[2], last[3]));
  }

  private Tensor[] backward(@Nullable Tensor[] gradients) {
    Device device = cells.device();
    ScalarType values = type == ElementType.FLOAT32 ? ScalarType.Float : ScalarType.BFloat16;
    int batch = shape.batch();
    int length = shape.length();
    int heads = shape.heads();
    int headDim = shape.headDim();
    Tensor dwx = CudaTensors.make(device, values, batch, length, 4, heads, headDim);
    Tensor dr = CudaTensors.make(device, ScalarType.Float, heads, headDim, 4, headDim);
    Tensor db = CudaTensors.make(device, ScalarType.Float, heads, 4, headDim);
    Tensor[] first = states(device, shape);
    Tensor dy = CudaTensors.orZero(gradients[0], device, values, batch, length, heads, headDim);
    @Nullable SlstmState last = stateGradient(gradients, device);
    synchronized (cells) {
      SlstmPlan plan = cells.plan(shape, type);
      Tensor workspace = CudaTensors.bytes(device, plan.workspaceBytes());
      plan.backward(
          cells.stream(),
          inputs(),
          y(),
          new DeviceSpan(saved, plan.savedBytes()),
          CudaTensors.span(dy),
          last,
          new SlstmGradients(
              CudaTensors.span(dwx), CudaTensors.span(dr), CudaTensors.span(db), state(first)),
          CudaTensors.span(workspace));
    }
    return new Tensor[] {dwx, dr.to(values), db, first[0], first[1], first[2], first[3]};
  }

  /// Null if nothing depends on the last state.
  private @Nullable SlstmState stateGradient(@Nullable Tensor[] gradients, Device device) {
    if (Arrays.stream(gradients).skip(1).allMatch(Objects::isNull)) {
      return null;
    }
    var parts = new Tensor[STATE_PARTS];
    for (int i = 0; i < STATE_PARTS; i++) {
      parts[i] =
          CudaTensors.orZero(
              gradients[i + 1],
              device,
              ScalarType.Float,
              shape.batch(),
              shape.heads(),
              shape.headDim());
    }
    return state(parts);
  }

  private SlstmInputs inputs() {
    long state = shape.stateValues() * Float.BYTES;
    return new SlstmInputs(
        new DeviceSpan(in[0], shape.gateValues() * type.bytes()),
        new DeviceSpan(in[1], shape.kernelValues() * type.bytes()),
        new DeviceSpan(in[2], shape.biasValues() * Float.BYTES),
        new SlstmState(
            new DeviceSpan(in[3], state),
            new DeviceSpan(in[4], state),
            new DeviceSpan(in[5], state),
            new DeviceSpan(in[6], state)),
        CudaTensors.mask(masks[0], (long) shape.batch() * shape.length()),
        CudaTensors.mask(masks[1], (long) shape.batch() * shape.length()));
  }

  private DeviceSpan y() {
    return new DeviceSpan(out, shape.outputValues() * type.bytes());
  }

  private static Tensor[] states(Device device, SlstmShape shape) {
    var parts = new Tensor[STATE_PARTS];
    for (int i = 0; i < STATE_PARTS; i++) {
      parts[i] =
          CudaTensors.make(device, ScalarType.Float, shape.batch(), shape.heads(), shape.headDim());
    }
    return parts;
  }

  private static SlstmState state(Tensor[] parts) {
    return new SlstmState(
        CudaTensors.span(parts[0]),
        CudaTensors.span(parts[1]),
        CudaTensors.span(parts[2]),
        CudaTensors.span(parts[3]));
  }
}
