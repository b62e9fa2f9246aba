package io.xlstm4j.torch;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.mlstm.MlstmGradients;
import io.xlstm4j.cuda.mlstm.MlstmInputs;
import io.xlstm4j.cuda.mlstm.MlstmPlan;
import io.xlstm4j.cuda.mlstm.MlstmShape;
import io.xlstm4j.cuda.mlstm.MlstmState;
import io.xlstm4j.cuda.mlstm.MlstmStateGradient;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// One pass of the mLSTM kernels over a sequence, tied to libtorch's graph. Holds addresses, and no
/// tensors: the graph holds the memory until the backward pass. The stabilizer m is a constant.
///
/// @param in q, k, v, both gates, and the initial c, n, m
/// @param masks valid and starts, 0 for none
/// @param out of h
/// @param saved what the forward pass fills for the backward pass, 0 for nothing
/// @param carries whether the gradient of the initial c and n is wanted
@SuppressWarnings("ArrayRecordComponent") // never compared
record CudaMlstm(
    CudaCells cells,
    MlstmShape shape,
    ElementType type,
    long[] in,
    long[] masks,
    long out,
    long saved,
    boolean carries) {
  static MlstmCell.Output forward(
      CudaCells cells,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor iPre,
      Tensor fPre,
      MlstmCell.State initial,
      SequenceLayout layout) {
    MlstmShape shape = shape(q, v, iPre);
    initial.check(shape.batch(), shape.heads(), shape.qkDim(), shape.vDim());
    layout.check(shape.batch(), shape.length());
    ElementType type = Objects.requireNonNull(CudaCells.type(q));
    ScalarType values = q.scalar_type().intern();
    Device device = q.device();
    List<Tensor> tokens =
        List.of(
            CudaTensors.aligned(q),
            CudaTensors.aligned(k.to(values)),
            CudaTensors.aligned(v.to(values)),
            CudaTensors.aligned(iPre.to(ScalarType.Float)),
            CudaTensors.aligned(fPre.to(ScalarType.Float)));
    List<Tensor> memory =
        List.of(
            CudaTensors.aligned(initial.c().to(ScalarType.Float)),
            CudaTensors.aligned(initial.n().to(ScalarType.Float)));
    Tensor m0 = CudaTensors.aligned(initial.m().detach().to(ScalarType.Float));
    boolean carries = HandWrittenBackward.isNeeded(memory);
    var inputs = new ArrayList<>(tokens);
    var kept = new ArrayList<Tensor>();
    (carries ? inputs : kept).addAll(memory);
    kept.add(m0);
    var all = new ArrayList<>(tokens);
    all.addAll(memory);
    all.add(m0);
    long[] masks = {
      CudaTensors.maskAddress(layout.valid(), kept), CudaTensors.maskAddress(layout.starts(), kept)
    };
    boolean backward = HandWrittenBackward.isNeeded(inputs);
    Tensor h =
        CudaTensors.make(
            device, values, shape.batch(), shape.length(), shape.heads(), shape.vDim());
    Tensor[] last = memory(device, shape);
    Tensor m = CudaTensors.make(device, ScalarType.Float, shape.batch(), shape.heads());
    synchronized (cells) {
      MlstmPlan plan = cells.plan(shape, type);
      @Nullable Tensor saved = backward ? CudaTensors.bytes(device, plan.savedBytes()) : null;
      Tensor workspace = CudaTensors.bytes(device, plan.forwardWorkspaceBytes());
      var call =
          new CudaMlstm(
              cells,
              shape,
              type,
              TensorSegments.addresses(all),
              masks,
              TensorSegments.address(h),
              saved == null ? 0 : TensorSegments.address(saved),
              carries);
      plan.forward(
          cells.stream(),
          call.inputs(),
          call.h(),
          new MlstmState(CudaTensors.span(last[0]), CudaTensors.span(last[1]), CudaTensors.span(m)),
          saved == null ? null : CudaTensors.span(saved),
          CudaTensors.span(workspace));
      if (saved != null) {
        kept.add(saved);
        kept.add(h);
        HandWrittenBackward.tie(inputs, List.of(h, last[0], last[1]), kept, call::backward);
      }
    }
    return new MlstmCell.Output(h, new MlstmCell.State(last[0], last[1], m));
  }

  /// @throws IllegalArgumentException if the kernels cannot compute a cell of these sizes
  ///
  /// @param q `(B, S, NH * DHQK)`
  /// @param v `(B, S, NH * DHV)`
  /// @param iPre `(B, S, NH)`
  static MlstmShape shape(Tensor q, Tensor v, Tensor iPre) {
    int heads = (int) iPre.size(2);
    return new MlstmShape(
        (int) q.size(0), (int) q.size(1), heads, (int) q.size(2) / heads, (int) v.size(2) / heads);
  }

  private Tensor[] backward(@Nullable Tensor[] gradients) {
    Device device = cells.device();
    ScalarType values = type == ElementType.FLOAT32 ? ScalarType.Float : ScalarType.BFloat16;
    int batch = shape.batch();
    int length = shape.length();
    int heads = shape.heads();
    long keys = (long) heads * shape.qkDim();
    Tensor dq = CudaTensors.make(device, values, batch, length, keys);
    Tensor dk = CudaTensors.make(device, values, batch, length, keys);
    Tensor dv = CudaTensors.make(device, values, batch, length, (long) heads * shape.vDim());
    Tensor di = CudaTensors.make(device, ScalarType.Float, batch, length, heads);
    Tensor df = CudaTensors.make(device, ScalarType.Float, batch, length, heads);
    Tensor dh =
        CudaTensors.orZero(gradients[0], device, values, batch, length, heads, shape.vDim());
    Tensor @Nullable [] last =
        gradients[1] == null && gradients[2] == null ? null : memory(device, shape);
    if (last != null) {
      for (int i = 0; i < last.length; i++) {
        last[i] =
            CudaTensors.orZero(gradients[i + 1], device, ScalarType.Float, Ops.shape(last[i]));
      }
    }
    Tensor @Nullable [] first = carries ? memory(device, shape) : null;
    synchronized (cells) {
      MlstmPlan plan = cells.plan(shape, type);
      Tensor workspace = CudaTensors.bytes(device, plan.backwardWorkspaceBytes());
      plan.backward(
          cells.stream(),
          inputs(),
          h(),
          new DeviceSpan(saved, plan.savedBytes()),
          CudaTensors.span(dh),
          gradient(last),
          new MlstmGradients(
              CudaTensors.span(dq),
              CudaTensors.span(dk),
              CudaTensors.span(dv),
              CudaTensors.span(di),
              CudaTensors.span(df),
              gradient(first)),
          CudaTensors.span(workspace));
    }
    return first == null
        ? new Tensor[] {dq, dk, dv, di, df}
        : new Tensor[] {dq, dk, dv, di, df, first[0], first[1]};
  }

  private MlstmInputs inputs() {
    long keys = shape.qkValues() * type.bytes();
    long gates = shape.gateValues() * Float.BYTES;
    long positions = (long) shape.batch() * shape.length();
    return new MlstmInputs(
        new DeviceSpan(in[0], keys),
        new DeviceSpan(in[1], keys),
        new DeviceSpan(in[2], shape.vValues() * type.bytes()),
        new DeviceSpan(in[3], gates),
        new DeviceSpan(in[4], gates),
        new MlstmState(
            new DeviceSpan(in[5], shape.cValues() * Float.BYTES),
            new DeviceSpan(in[6], shape.nValues() * Float.BYTES),
            new DeviceSpan(in[7], shape.mValues() * Float.BYTES)),
        CudaTensors.mask(masks[0], positions),
        CudaTensors.mask(masks[1], positions));
  }

  private DeviceSpan h() {
    return new DeviceSpan(out, shape.vValues() * type.bytes());
  }

  private static @Nullable MlstmStateGradient gradient(Tensor @Nullable [] memory) {
    return memory == null
        ? null
        : new MlstmStateGradient(CudaTensors.span(memory[0]), CudaTensors.span(memory[1]));
  }

  /// Fresh c and n.
  private static Tensor[] memory(Device device, MlstmShape shape) {
    return new Tensor[] {
      CudaTensors.make(
          device, ScalarType.Float, shape.batch(), shape.heads(), shape.qkDim(), shape.vDim()),
      CudaTensors.make(device, ScalarType.Float, shape.batch(), shape.heads(), shape.qkDim())
    };
  }
}
