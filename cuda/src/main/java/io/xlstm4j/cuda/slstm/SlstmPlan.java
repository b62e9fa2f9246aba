package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.KernelArguments;
import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.CudaFunction;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.driver.Launch;
import java.lang.foreign.Arena;
import org.jspecify.annotations.Nullable;

/// The sLSTM cell (Beck et al. 2024, arXiv:2405.04517, eq. 8-17) for given sizes on a device:
/// forward and backward over a whole sequence. Two runs on the same inputs give the same bits.
///
/// All calls only give work to a stream, and may be recorded in a graph. Memory of all arguments is
/// contiguous and starts at a multiple of 16 bytes.
public final class SlstmPlan {
  private static final int GENERAL_SEQUENCES = 4;
  private static final int GRADIENT_TILE = 64;
  private static final int GRADIENT_CHUNK = 32;
  private static final int GRADIENT_BLOCKS_PER_MULTIPROCESSOR = 8;
  private static final long ALIGNMENT = 256;

  private final SlstmKernels kernels;
  private final SlstmShape shape;
  private final ElementType type;
  private final @Nullable ClusterLayout cluster;
  private final int gradientParts;
  private final int tokensPerPart;

  /// @param cluster null for the general kernel
  SlstmPlan(
      SlstmKernels kernels, SlstmShape shape, ElementType type, @Nullable ClusterLayout cluster) {
    this.kernels = kernels;
    this.shape = shape;
    this.type = type;
    this.cluster = cluster;
    if (cluster == null) {
      function("forward").allow(generalForward());
      function("backward").allow(generalBackward());
    } else {
      function("forward").allow(cluster.forwardLaunch());
      function("backward").allow(cluster.backwardLaunch());
    }
    int chunks = ceil(shape.positions(), GRADIENT_CHUNK);
    int blocks = kernels.context().device().multiprocessors() * GRADIENT_BLOCKS_PER_MULTIPROCESSOR;
    int parts =
        Math.clamp(ceil(blocks, 4 * gradientTiles() * gradientTiles() * shape.heads()), 1, chunks);
    tokensPerPart = ceil(chunks, parts) * GRADIENT_CHUNK;
    gradientParts = ceil(shape.positions(), tokensPerPart);
  }

  /// The kernel that was chosen.
  public SlstmVariant variant() {
    return cluster == null ? SlstmVariant.GENERAL : SlstmVariant.CLUSTER;
  }

  public SlstmShape shape() {
    return shape;
  }

  public ElementType type() {
    return type;
  }

  /// Bytes that [#forward] fills for [#backward].
  public long savedBytes() {
    return cluster == null ? 6 * shape.outputValues() * type.bytes() : cluster.savedBytes(type);
  }

  /// Bytes that a call needs while it works.
  public long workspaceBytes() {
    return kernelBytes() + biasPartBytes() + gradientPartBytes();
  }

  /// The recurrent kernel in another order.
  private long kernelBytes() {
    return aligned(
        cluster == null
            ? shape.kernelValues() * type.bytes()
            : Math.max(cluster.fragmentBytes(true), cluster.fragmentBytes(false)));
  }

  private long biasPartBytes() {
    return aligned(batchTiles() * shape.biasValues() * Float.BYTES);
  }

  private long gradientPartBytes() {
    return aligned(gradientParts * shape.kernelValues() * Float.BYTES);
  }

  private int batchTiles() {
    return cluster == null ? ceil(shape.batch(), GENERAL_SEQUENCES) : cluster.batchTiles();
  }

  /// Runs a sequence.
  ///
  /// @param y outputs, T `(B, S, NH, DH)`
  /// @param last the state after the last token; null if not wanted
  /// @param saved [#savedBytes] bytes for [#backward]; null if none will come
  /// @param workspace [#workspaceBytes] bytes
  /// @throws IllegalArgumentException if a size does not fit
  public void forward(
      CudaStream stream,
      SlstmInputs inputs,
      DeviceSpan y,
      @Nullable SlstmState last,
      @Nullable DeviceSpan saved,
      DeviceSpan workspace) {
    inputs.check(shape, type);
    Spans.check("y", y, shape.outputValues() * type.bytes(), "(B, S, NH, DH)");
    if (last != null) {
      last.check("last", shape);
    }
    Spans.check("saved", saved, savedBytes(), "of savedBytes()");
    Spans.check("workspace", workspace, workspaceBytes(), "of workspaceBytes()");
    try (var arena = Arena.ofConfined()) {
      if (cluster != null) {
        fragments(stream, arena, cluster, inputs.r(), workspace, true);
      }
      var arguments =
          new KernelArguments(arena, 16, 6)
              .add(inputs.wx(), inputs.r(), inputs.bias())
              .add(SlstmState.spans(inputs.initial()))
              .add(inputs.valid(), inputs.starts(), y)
              .add(SlstmState.spans(last))
              .add(saved, workspace)
              .add(shape.batch(), shape.length(), shape.heads(), shape.headDim())
              .add(cluster == null ? 0 : cluster.forwardSharedSteps(), 0)
              .done();
      function("forward")
          .launch(stream, cluster == null ? generalForward() : cluster.forwardLaunch(), arguments);
    }
  }

  /// Takes gradients back through [#forward], the stabilizer m included: gradients into c, n and m
  /// of the final state are exact too.
  ///
  /// @param inputs as given to [#forward]; `wx` and `bias` are not read
  /// @param y outputs that [#forward] wrote
  /// @param saved what [#forward] wrote
  /// @param dy gradient of y, T `(B, S, NH, DH)`; without effect at padding
  /// @param last gradients that reach the final state; null for zeros
  /// @param workspace [#workspaceBytes] bytes
  /// @throws IllegalArgumentException if a size does not fit
  public void backward(
      CudaStream stream,
      SlstmInputs inputs,
      DeviceSpan y,
      DeviceSpan saved,
      DeviceSpan dy,
      @Nullable SlstmState last,
      SlstmGradients gradients,
      DeviceSpan workspace) {
    inputs.check(shape, type);
    Spans.check("y", y, shape.outputValues() * type.bytes(), "(B, S, NH, DH)");
    Spans.check("saved", saved, savedBytes(), "of savedBytes()");
    Spans.check("dy", dy, shape.outputValues() * type.bytes(), "(B, S, NH, DH)");
    if (last != null) {
      last.check("gradient of last", shape);
    }
    gradients.check(shape, type);
    Spans.check("workspace", workspace, workspaceBytes(), "of workspaceBytes()");
    DeviceSpan biasParts = workspace.slice(kernelBytes(), biasPartBytes());
    DeviceSpan gradientParts =
        workspace.slice(kernelBytes() + biasPartBytes(), gradientPartBytes());
    @Nullable SlstmState initial = inputs.initial();
    try (var arena = Arena.ofConfined()) {
      if (cluster == null) {
        transpose(stream, inputs.r(), workspace);
      } else {
        fragments(stream, arena, cluster, inputs.r(), workspace, false);
      }
      var arguments =
          new KernelArguments(arena, 20, 6)
              .add(workspace, saved, dy)
              .add(initial == null ? null : initial.c(), initial == null ? null : initial.n())
              .add(inputs.valid(), inputs.starts())
              .add(SlstmState.spans(last))
              .add(gradients.wx())
              .add(SlstmState.spans(gradients.initial()))
              .add(biasParts, workspace, null, null)
              .add(shape.batch(), shape.length(), shape.heads(), shape.headDim())
              .add(cluster == null ? 0 : cluster.backwardSharedSteps(), 0)
              .done();
      function("backward")
          .launch(
              stream, cluster == null ? generalBackward() : cluster.backwardLaunch(), arguments);
      sumParts(stream, biasParts, gradients.bias(), shape.biasValues(), batchTiles());
      recurrentGradient(stream, arena, inputs, y, gradients, gradientParts);
    }
  }

  private void recurrentGradient(
      CudaStream stream,
      Arena arena,
      SlstmInputs inputs,
      DeviceSpan y,
      SlstmGradients gradients,
      DeviceSpan parts) {
    @Nullable SlstmState initial = inputs.initial();
    var arguments =
        new KernelArguments(arena, 6, 6)
            .add(y, initial == null ? null : initial.y(), inputs.valid(), inputs.starts())
            .add(gradients.wx(), parts)
            .add(shape.batch(), shape.length(), shape.heads(), shape.headDim(), tokensPerPart, 0)
            .done();
    int tiles = gradientTiles();
    int threads = type == ElementType.FLOAT32 ? 256 : 128;
    kernels
        .gradient(type.kernel("recurrent_gradient"))
        .launch(
            stream,
            new Launch(4 * tiles, tiles, shape.heads() * gradientParts, threads, 1, 0, 1),
            arguments);
    sumParts(stream, parts, gradients.r(), shape.kernelValues(), gradientParts);
  }

  private void sumParts(
      CudaStream stream, DeviceSpan parts, DeviceSpan to, long count, int number) {
    kernels
        .gradient("sum_parts")
        .launch(stream, Launch.elements(count), parts.address(), to.address(), count, number);
  }

  private void transpose(CudaStream stream, DeviceSpan r, DeviceSpan to) {
    int tiles = ceil(shape.headDim(), 32);
    function("transpose")
        .launch(
            stream,
            new Launch(ceil(4 * shape.headDim(), 32), tiles, shape.heads(), 32, 8, 0, 1),
            r.address(),
            to.address(),
            shape.headDim());
  }

  private void fragments(
      CudaStream stream,
      Arena arena,
      ClusterLayout layout,
      DeviceSpan r,
      DeviceSpan to,
      boolean forward) {
    var sizes =
        new KernelArguments(arena, 0, 4)
            .add(shape.heads(), shape.headDim(), layout.blocks(), layout.warps())
            .done();
    function(forward ? "forward_fragments" : "backward_fragments")
        .launch(
            stream,
            Launch.elements(layout.fragmentBytes(forward) / 16),
            r.address(),
            to.address(),
            sizes);
  }

  private CudaFunction function(String name) {
    return kernels.function(variant(), type.kernel(name));
  }

  private Launch generalForward() {
    int stride = (shape.headDim() + 3) & ~3;
    return general(2 * GENERAL_SEQUENCES * stride * Float.BYTES);
  }

  private Launch generalBackward() {
    return general(GENERAL_SEQUENCES * 4 * shape.headDim() * Float.BYTES);
  }

  private Launch general(int sharedBytes) {
    int threads = ceil(shape.headDim(), 32) * 32;
    return new Launch(shape.heads(), batchTiles(), 1, threads, 1, sharedBytes, 1);
  }

  private int gradientTiles() {
    return ceil(shape.headDim(), GRADIENT_TILE);
  }

  private static int ceil(int count, int by) {
    return Math.ceilDiv(count, by);
  }

  private static long aligned(long bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
}
