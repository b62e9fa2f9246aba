package io.xlstm4j.torch;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.block.LayerKernel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.LongFunction;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// A whole layer of the README on its kernel, one operation for a sequence or for a chain of steps:
/// CPU, float32. The layer's form of libtorch operations is the reference implementation that it is
/// checked against.
///
/// Parameters are leaves of the graph, so the backward pass adds to their gradients by itself.
final class FusedLayer {
  /// Fewer numbers than these are done before another thread is awake.
  private static final long WORTH_SHARING = 1 << 14;

  /// Steps of the first chain, how much longer each next one may be, and the most.
  private static final int FIRST_STEPS = 8;

  private static final int GROWTH = 4;
  private static final int MOST_STEPS = 256;

  private final Parameters store;
  private final List<Tensor> parameters;
  private final LayerKernel shared;
  private final LayerKernel alone;
  private final int dim;
  private final List<String> stateNames;
  private final LongFunction<List<long[]>> stateShapes;
  private @Nullable Prepared prepared;
  private @Nullable RecordedSteps recording;

  /// @param parameters of `store`, in the order of the kernel
  /// @param kernel of the layer, made of others
  /// @param dim D
  /// @param stateShapes of the parts for so many sequences, in the order of the kernel
  FusedLayer(
      Parameters store,
      List<Tensor> parameters,
      Function<Kernels, LayerKernel> kernel,
      int dim,
      List<String> stateNames,
      LongFunction<List<long[]>> stateShapes) {
    this.store = store;
    this.parameters = parameters;
    Kernels kernels = FusedKernels.current().kernels();
    shared = kernel.apply(kernels);
    alone = kernel.apply(kernels.singleThreaded());
    this.dim = dim;
    this.stateNames = stateNames;
    this.stateShapes = stateShapes;
  }

  /// Returns whether the kernels can work on such parameters.
  static boolean takes(Parameters parameters) {
    return parameters.type().intern() == ScalarType.Float && parameters.device().is_cpu();
  }

  /// @param output of the input's shape
  record Output(Tensor output, LayerState state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      var tensors = new ArrayList<>(state.tensors());
      tensors.add(output);
      return tensors;
    }
  }

  /// D.
  int dim() {
    return dim;
  }

  LayerState zeroState(long batch) {
    Tensor memory = TensorSegments.floats(shared.stateFloats((int) batch)).zero_();
    return LayerState.ofMemory(memory, stateShapes.apply(batch));
  }

  private LayerKernel kernel(LayerKernel.Call call) {
    return (long) call.batch() * call.length() * dim < WORTH_SHARING ? alone : shared;
  }

  // ---- a sequence ------------------------------------------------------------------------------

  /// @param sequence `(B, S, D)`
  Output forward(Tensor sequence, LayerState last, SequenceLayout layout) {
    int batch = (int) sequence.size(0);
    int length = (int) sequence.size(1);
    layout.check(batch, length);
    if (length == 0) {
      throw new IllegalArgumentException("a sequence must have at least one position");
    }
    List<long[]> shapes = stateShapes.apply(batch);
    Tensor x = layout.padded(sequence, 1).contiguous();
    Tensor before = last.memory(stateNames, shapes).contiguous();
    TensorSegments.Masks masks = TensorSegments.Masks.of(layout);
    long[] mask = masks.addresses();
    long positions = (long) batch * length;
    var call =
        new LayerKernel.Call(
            batch,
            length,
            TensorSegments.segment(x),
            TensorSegments.segment(before),
            TensorSegments.mask(mask[0], positions),
            TensorSegments.mask(mask[1], positions));
    Tensor output = TensorSegments.floats(batch, length, dim);
    Tensor after = TensorSegments.floats(before.numel());
    Tensor saved = bytes(kernel(call).savedBytes(batch, length));
    boolean keep = HandWrittenBackward.isOn();
    run(call, saved, keep, TensorSegments.segment(output), TensorSegments.segment(after));
    var kept = new ArrayList<>(masks.tensors());
    kept.add(saved);
    if (keep) {
      var done = new Kept(call, TensorSegments.segment(saved), TensorSegments.segment(after));
      HandWrittenBackward.tieWithParameters(
          List.of(x, before),
          List.of(output, after),
          kept,
          gradients -> {
            Tensor dOut =
                gradients[0] == null
                    ? TensorSegments.floats(batch, length, dim).zero_()
                    : gradients[0];
            InputGradients back = back(done, dOut, gradients[1]);
            return new Tensor[] {back.x, back.state};
          });
    }
    return new Output(output, LayerState.ofMemory(after, shapes));
  }

  private void run(
      LayerKernel.Call call,
      Tensor saved,
      boolean keep,
      MemorySegment output,
      MemorySegment after) {
    LayerKernel kernel = kernel(call);
    Prepared weights = prepared();
    Tensor scratch = bytes(kernel.forwardScratchBytes(call.batch(), call.length()));
    kernel.forward(
        call,
        weights.memory,
        weights.ready,
        TensorSegments.segment(saved),
        TensorSegments.segment(scratch),
        keep,
        output,
        after);
  }

  /// A sequence that was run and can be gone back through.
  ///
  /// @param last the state after it
  record Kept(LayerKernel.Call call, MemorySegment saved, MemorySegment last) {}

  /// Runs a sequence again, for [#back]; all memory is the caller's scope's.
  Kept run(LayerKernel.Call call) {
    Tensor saved = bytes(kernel(call).savedBytes(call.batch(), call.length()));
    Tensor output = TensorSegments.floats(call.batch(), call.length(), dim);
    Tensor after = TensorSegments.floats(shared.stateFloats(call.batch()));
    run(call, saved, true, TensorSegments.segment(output), TensorSegments.segment(after));
    return new Kept(call, TensorSegments.segment(saved), TensorSegments.segment(after));
  }

  /// @param x `(B, S, D)`
  /// @param state as the memory of a [LayerState]
  record InputGradients(Tensor x, Tensor state) {}

  /// Adds to the parameters' gradients and gives those of the inputs.
  ///
  /// @param dLast gradient of the final state; null for zero
  InputGradients back(Kept done, Tensor dOut, @Nullable Tensor dLast) {
    LayerKernel.Call call = done.call;
    LayerKernel kernel = kernel(call);
    var gradients = new ParameterGradients(store, parameters);
    Tensor dx = TensorSegments.floats(call.batch(), call.length(), dim);
    Tensor dInitial = TensorSegments.floats(shared.stateFloats(call.batch()));
    Tensor scratch = bytes(kernel.backwardScratchBytes(call.batch(), call.length()));
    kernel.backward(
        call,
        parameters.stream().map(TensorSegments::segment).toList(),
        done.saved,
        TensorSegments.segment(scratch),
        TensorSegments.segment(dOut),
        dLast == null ? null : TensorSegments.segment(dLast),
        TensorSegments.segment(dx),
        gradients.memory(),
        TensorSegments.segment(dInitial));
    gradients.add();
    return new InputGradients(dx, dInitial);
  }

  private static Tensor bytes(long count) {
    return TensorSegments.floats(Math.ceilDiv(count, Float.BYTES));
  }

  // ---- a step ----------------------------------------------------------------------------------

  /// @param input `(B, D)`
  Output step(Tensor input, LayerState last) {
    int batch = (int) input.size(0);
    Tensor x = input.contiguous();
    Tensor after = TensorSegments.floats(shared.stateFloats(batch));
    if (!HandWrittenBackward.isOn()) {
      List<long[]> shapes = stateShapes.apply(batch);
      Tensor before = last.memory(stateNames, shapes).contiguous();
      Tensor output = TensorSegments.floats(batch, dim);
      step(batch, TensorSegments.segment(x), before, TensorSegments.segment(output), after);
      return new Output(output, LayerState.ofMemory(after, shapes));
    }
    RecordedSteps steps = null;
    int at = -1;
    Tensor before = last.data();
    Tensor output;
    LayerState.Recorded recorded;
    synchronized (this) { // handles too: another thread's chain ends this one
      if (recording != null && !x.requires_grad()) {
        steps = recording;
        at = recording.claim(last, batch);
      }
      if (steps == null || at < 0) {
        before = last.memory(stateNames, stateShapes.apply(batch)).contiguous();
        steps = begin(x, before, last.recorded());
        recording = steps;
        at = steps.claim(null, batch);
      }
      output = steps.outputTensor(at);
      recorded = new LayerState.Recorded(steps, at, steps.zero());
    }
    MemorySegment in = steps.input(at);
    MemorySegment.copy(TensorSegments.segment(x), 0, in, 0, in.byteSize());
    step(batch, in, before, steps.output(at), after);
    List<long[]> shapes = at == 0 ? stateShapes.apply(batch) : last.shapes();
    return new Output(output, LayerState.ofStep(after, shapes, recorded));
  }

  /// A chain's next stretch, or its first.
  private RecordedSteps begin(Tensor x, Tensor memory, LayerState.@Nullable Recorded before) {
    if (recording != null) {
      recording.release();
    }
    int most =
        before == null
            ? FIRST_STEPS
            : Math.clamp((long) GROWTH * before.steps().capacity(), FIRST_STEPS, MOST_STEPS);
    return new RecordedSteps(this, x, memory, x.requires_grad() ? 1 : most);
  }

  private void step(int batch, MemorySegment in, Tensor before, MemorySegment out, Tensor after) {
    var call = new LayerKernel.Call(batch, 1, in, TensorSegments.segment(before), null, null);
    Tensor saved = bytes(kernel(call).savedBytes(batch, 1));
    run(call, saved, false, out, TensorSegments.segment(after));
  }

  /// Lets go of what steps to come would need.
  synchronized void close() {
    if (recording != null) {
      recording.release();
      recording = null;
    }
    if (prepared != null) {
      Scopes.release(prepared.scratch);
      prepared = null;
    }
  }

  // ---- parameters ------------------------------------------------------------------------------

  /// Identifies the values of the parameters.
  ///
  /// @param versions by libtorch's count of changes, added up
  /// @param places of the numbers
  record Stamp(long versions, long places) {}

  /// The parameters' memory, and their matrices ready for products.
  ///
  /// @param scratch kept as long: plain loops read matrices where they were put together
  private record Prepared(
      Stamp stamp, List<MemorySegment> memory, LayerKernel.Ready ready, Tensor scratch) {}

  /// @throws IllegalStateException if the parameters were freed
  Stamp stamp() {
    store.checkOpen();
    long versions = 0;
    long places = 0;
    for (Tensor parameter : parameters) {
      versions += parameter._version();
      places = 31 * places + TensorSegments.address(parameter);
    }
    return new Stamp(versions, places);
  }

  private synchronized Prepared prepared() {
    Stamp now = stamp();
    if (prepared == null || !prepared.stamp.equals(now)) {
      List<MemorySegment> memory = parameters.stream().map(TensorSegments::segment).toList();
      Tensor scratch = Scopes.keep(bytes(shared.readyScratchBytes()));
      LayerKernel.Ready ready = shared.ready(memory, TensorSegments.segment(scratch));
      if (prepared != null) {
        Scopes.release(prepared.scratch);
      }
      prepared = new Prepared(now, memory, ready, scratch);
    }
    return prepared;
  }
}
