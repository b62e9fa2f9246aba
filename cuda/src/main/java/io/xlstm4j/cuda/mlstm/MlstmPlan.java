package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.cell.Spans;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.driver.Launch;
import io.xlstm4j.cuda.mlstm.MlstmWork.Field;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumSet;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The mLSTM cell (Beck et al. 2024, arXiv:2405.04517, eq. 19-27) for given sizes on a device:
/// forward and backward over a whole sequence in chunks. Two runs on the same inputs give the same
/// bits.
///
/// ```
/// m_t = max(logsigmoid(f_t) + m_{t-1}, i_t)
/// f'  = exp(logsigmoid(f_t) + m_{t-1} - m_t),  i' = exp(i_t - m_t)
/// C_t = f' C_{t-1} + i' k_t v_tᵀ,  n_t = f' n_{t-1} + i' k_t,  den_t = s q_t · n_t,  s = DQK^-0.5
/// h_t = s C_tᵀ q_t / (max(|den_t|, exp(-m_t)) + 1e-6)
/// ```
///
/// All calls only give work to a stream, and may be recorded in a graph. Memory of all arguments is
/// contiguous and starts at a multiple of 16 bytes.
public final class MlstmPlan {
  private static final int TILE = 128;
  private static final int PACK_COLUMNS = 64;
  private static final int GATE_TILE = 1024;
  private static final int EIGHT = 8;
  private static final int BFLOAT16 = 2;
  private static final List<String> PRODUCTS =
      List.of("states", "scores_forward", "scores_backward", "h", "dq", "dk_dv");

  private final MlstmKernels kernels;
  private final MlstmShape shape;
  private final ElementType type;
  private final MlstmVariant variant;
  private final MlstmChunks chunks;
  private final boolean packsKeys;
  private final boolean packsValues;
  private final MlstmRooms savedRooms = new MlstmRooms();
  private final MlstmRooms forwardRooms = new MlstmRooms();
  private final MlstmRooms backwardRooms = new MlstmRooms();

  MlstmPlan(
      MlstmKernels kernels,
      MlstmShape shape,
      ElementType type,
      MlstmVariant variant,
      MlstmChunks chunks) {
    this.kernels = kernels;
    this.shape = shape;
    this.type = type;
    this.variant = variant;
    this.chunks = chunks;
    packsKeys = type == ElementType.FLOAT32 || shape.qkDim() % EIGHT != 0;
    packsValues = type == ElementType.FLOAT32 || shape.vDim() % EIGHT != 0;
    for (MlstmVariant each : EnumSet.of(MlstmVariant.GENERAL, variant)) {
      for (String product : PRODUCTS) {
        kernels
            .product(each, type.kernel(product))
            .allow(MlstmProducts.launchOf(each, type, 1, 1, 1));
      }
    }
    divide();
  }

  /// Blocks that share the state of a pair.
  static int stateTiles(MlstmShape shape) {
    return ceil(shape.qkDim(), TILE) * ceil(shape.vDim(), TILE);
  }

  private void divide() {
    long vector = shape.pairs() * chunks.paddedLength();
    long chunksOfAll = (long) shape.pairs() * chunks.number();
    for (Field field :
        List.of(Field.X, Field.Y, Field.W, Field.U, Field.FLOOR, Field.FROM, Field.R, Field.SIGN)) {
      savedRooms.add(field, vector, Float.BYTES);
    }
    savedRooms
        .add(Field.DECAY, chunksOfAll, Float.BYTES)
        .add(Field.M_STATES, chunksOfAll + shape.pairs(), Float.BYTES);
    int planes = type.planes() * BFLOAT16;
    long keys = shape.gateValues() * padded(shape.qkDim());
    long values = shape.gateValues() * padded(shape.vDim());
    for (MlstmRooms rooms : List.of(forwardRooms, backwardRooms)) {
      rooms
          .add(Field.Q_PLANES, packsKeys ? keys : 0, planes)
          .add(Field.K_PLANES, packsKeys ? keys : 0, planes)
          .add(Field.V_PLANES, packsValues ? values : 0, planes)
          .add(Field.WEIGHTED, keys, planes)
          .add(Field.SUMS, chunksOfAll * shape.qkDim(), Float.BYTES)
          .add(Field.N_STATES, chunksOfAll * shape.qkDim(), Float.BYTES)
          .add(Field.STATES, chunksOfAll * shape.qkDim() * padded(shape.vDim()), planes)
          .add(Field.SCORES, chunksOfAll * chunks.length() * chunks.length(), planes)
          .add(
              Field.SEGMENT_C,
              chunks.segments() == 1 ? 0 : shape.cValues() * chunks.segments(),
              Float.BYTES);
    }
    forwardRooms.add(Field.STEPS, chunksOfAll, 2 * Float.BYTES);
    backwardRooms
        .add(Field.DH_PLANES, packsValues ? values : 0, planes)
        .add(Field.SLOPES, chunksOfAll * chunks.length() * chunks.length(), planes)
        .add(Field.DELTA, vector, Float.BYTES)
        .add(Field.QUERY_WEIGHTS, vector, Float.BYTES)
        .add(Field.TAILS, 2L * gateTiles() * shape.pairs(), Double.BYTES)
        .add(Field.QDQ, vector * ceil(shape.qkDim(), TILE), Float.BYTES)
        .add(Field.KDK, vector * ceil(shape.qkDim(), TILE), Float.BYTES)
        .add(Field.END_C, shape.cValues(), Float.BYTES)
        .add(Field.END_N, shape.nValues(), Float.BYTES)
        .add(Field.END_DOT, shape.pairs(), Float.BYTES);
  }

  public MlstmShape shape() {
    return shape;
  }

  public ElementType type() {
    return type;
  }

  /// The kernels that were chosen.
  public MlstmVariant variant() {
    return variant;
  }

  /// Tokens of a chunk.
  public int chunkLength() {
    return chunks.length();
  }

  /// Bytes that [#forward] fills for [#backward]: some values a token and head.
  public long savedBytes() {
    return savedRooms.bytes();
  }

  /// Bytes that [#forward] needs while it works.
  public long forwardWorkspaceBytes() {
    return forwardRooms.bytes() + savedRooms.bytes();
  }

  /// Bytes that [#backward] needs while it works.
  public long backwardWorkspaceBytes() {
    return backwardRooms.bytes();
  }

  /// Bytes that either call needs while it works.
  public long workspaceBytes() {
    return Math.max(forwardWorkspaceBytes(), backwardWorkspaceBytes());
  }

  /// Runs a sequence.
  ///
  /// @param h outputs, T `(B, S, NH, DHV)`
  /// @param last the state after the last token; null if not wanted. May be the initial one if no
  ///   [#backward] will come
  /// @param saved [#savedBytes] bytes for [#backward]; null if none will come
  /// @param workspace [#forwardWorkspaceBytes] bytes
  /// @throws IllegalArgumentException if a size does not fit
  public void forward(
      CudaStream stream,
      MlstmInputs inputs,
      DeviceSpan h,
      @Nullable MlstmState last,
      @Nullable DeviceSpan saved,
      DeviceSpan workspace) {
    inputs.check(shape, type);
    Spans.check("h", h, shape.vValues() * type.bytes(), "(B, S, NH, DHV)");
    if (last != null) {
      last.check("last", shape);
    }
    Spans.check("saved", saved, savedBytes(), "of savedBytes()");
    Spans.check("workspace", workspace, forwardWorkspaceBytes(), "of forwardWorkspaceBytes()");
    var work = new MlstmWork();
    setInputs(work, inputs);
    work.set(Field.H, h);
    if (last != null) {
      work.set(Field.C_LAST, last.c());
      work.set(Field.N_LAST, last.n());
      work.set(Field.M_LAST, last.m());
    }
    work.setAll(forwardRooms.within(workspace));
    work.setAll(
        savedRooms.within(
            saved != null ? saved : workspace.slice(forwardRooms.bytes(), savedRooms.bytes())));
    try (var arena = Arena.ofConfined()) {
      MemorySegment arguments = work.structure(arena, shape, chunks);
      MlstmProducts products = products(stream, arena, inputs, work, arguments);
      gates(stream, arguments);
      packInputs(stream, arguments);
      statesOfKeys(stream, arguments, products);
      products.scores("scores_forward");
      products.results("h", ceil(shape.vDim(), TILE));
    }
  }

  /// Takes gradients back through [#forward]. The stabilizer m is a constant: every gradient
  /// through it vanishes but for the 1e-6 in the denominator.
  ///
  /// @param inputs as given to [#forward]
  /// @param h outputs that [#forward] wrote
  /// @param saved what [#forward] wrote
  /// @param dh gradient of h, T `(B, S, NH, DHV)`; without effect at padding
  /// @param last gradients that reach the final state; null for zeros
  /// @param workspace [#backwardWorkspaceBytes] bytes
  /// @throws IllegalArgumentException if a size does not fit
  public void backward(
      CudaStream stream,
      MlstmInputs inputs,
      DeviceSpan h,
      DeviceSpan saved,
      DeviceSpan dh,
      @Nullable MlstmStateGradient last,
      MlstmGradients gradients,
      DeviceSpan workspace) {
    inputs.check(shape, type);
    Spans.check("h", h, shape.vValues() * type.bytes(), "(B, S, NH, DHV)");
    Spans.check("saved", saved, savedBytes(), "of savedBytes()");
    Spans.check("dh", dh, shape.vValues() * type.bytes(), "(B, S, NH, DHV)");
    if (last != null) {
      last.check("gradient of last", shape);
    }
    gradients.check(shape, type);
    Spans.check("workspace", workspace, backwardWorkspaceBytes(), "of backwardWorkspaceBytes()");
    var work = new MlstmWork();
    setInputs(work, inputs);
    work.set(Field.H, h);
    work.set(Field.DH, dh);
    work.set(Field.DH_PLANES, dh);
    setGradients(work, gradients);
    work.setAll(savedRooms.within(saved));
    work.setAll(backwardRooms.within(workspace));
    if (last != null) {
      work.set(Field.DC_LAST, last.c());
      work.set(Field.DN_LAST, last.n());
    } else {
      work.clear(Field.END_C);
      work.clear(Field.END_N);
      work.clear(Field.END_DOT);
    }
    try (var arena = Arena.ofConfined()) {
      MemorySegment arguments = work.structure(arena, shape, chunks);
      MlstmProducts products = products(stream, arena, inputs, work, arguments);
      packInputs(stream, arguments);
      if (packsValues) {
        pack(stream, "pack_dh", shape.vDim(), arguments);
      }
      statesOfKeys(stream, arguments, products);
      if (last != null) {
        launch(stream, "mlstm/gates", "end_dot", Launch.of(shape.pairs(), 256), arguments);
      }
      long tokens = shape.pairs() * chunks.paddedLength();
      launch(
          stream,
          "mlstm/sequences",
          type.kernel("delta"),
          Launch.of(Math.toIntExact(tokens / EIGHT), 256),
          arguments);
      products.scores("scores_backward");
      products.results("dq", ceil(shape.qkDim(), TILE));
      statesOfQueries(stream, arguments, products);
      products.results("dk_dv", ceil(shape.qkDim(), TILE) + ceil(shape.vDim(), TILE));
      var tiles = new Launch(gateTiles(), shape.pairs(), 1, 256, 1, 0, 1);
      launch(stream, "mlstm/gates", "gate_tails", tiles, arguments);
      launch(stream, "mlstm/gates", "gate_gradients", tiles, arguments);
    }
  }

  /// The products of a call. Boxes of the copy engine cannot leave out rows of padding.
  private MlstmProducts products(
      CudaStream stream, Arena arena, MlstmInputs inputs, MlstmWork work, MemorySegment arguments) {
    boolean hopper = variant == MlstmVariant.HOPPER && inputs.valid() == null;
    return new MlstmProducts(
        kernels,
        shape,
        type,
        chunks,
        stream,
        arguments,
        hopper ? MlstmMaps.structure(kernels.context(), arena, shape, chunks, work) : null);
  }

  private static void setInputs(MlstmWork work, MlstmInputs inputs) {
    work.set(Field.Q, inputs.q());
    work.set(Field.K, inputs.k());
    work.set(Field.V, inputs.v());
    work.set(Field.Q_PLANES, inputs.q()); // unless the workspace has room for planes
    work.set(Field.K_PLANES, inputs.k());
    work.set(Field.V_PLANES, inputs.v());
    work.set(Field.IGATE, inputs.igate());
    work.set(Field.FGATE, inputs.fgate());
    MlstmState initial = inputs.initial();
    if (initial != null) {
      work.set(Field.C0, initial.c());
      work.set(Field.N0, initial.n());
      work.set(Field.M0, initial.m());
    }
    work.set(Field.VALID, inputs.valid());
    work.set(Field.STARTS, inputs.starts());
  }

  private static void setGradients(MlstmWork work, MlstmGradients gradients) {
    work.set(Field.DQ, gradients.q());
    work.set(Field.DK, gradients.k());
    work.set(Field.DV, gradients.v());
    work.set(Field.DIGATE, gradients.igate());
    work.set(Field.DFGATE, gradients.fgate());
    MlstmStateGradient initial = gradients.initial();
    if (initial != null) {
      work.set(Field.DC0, initial.c());
      work.set(Field.DN0, initial.n());
    }
  }

  private void packInputs(CudaStream stream, MemorySegment arguments) {
    if (packsKeys) {
      pack(stream, "pack_q", shape.qkDim(), arguments);
      pack(stream, "pack_k", shape.qkDim(), arguments);
    }
    if (packsValues) {
      pack(stream, "pack_v", shape.vDim(), arguments);
    }
  }

  private void pack(CudaStream stream, String name, int width, MemorySegment arguments) {
    launch(
        stream,
        "mlstm/sequences",
        type.kernel(name),
        new Launch(chunks.number(), shape.pairs(), ceil(padded(width), PACK_COLUMNS), 256, 1, 0, 1),
        arguments);
  }

  private void gates(CudaStream stream, MemorySegment arguments) {
    var warpAChunk = new Launch(ceil(chunks.number(), 4), shape.pairs(), 1, 128, 1, 0, 1);
    launch(stream, "mlstm/gates", "gate_steps", warpAChunk, arguments);
    launch(stream, "mlstm/gates", "gate_states", Launch.of(shape.pairs(), 32), arguments);
    launch(stream, "mlstm/gates", "gates", warpAChunk, arguments);
  }

  private int gateTiles() {
    return ceil(shape.length(), GATE_TILE);
  }

  private void statesOfKeys(CudaStream stream, MemorySegment arguments, MlstmProducts products) {
    states(stream, arguments, products, false);
    normalizers(stream, "normalizers", arguments);
  }

  private void statesOfQueries(CudaStream stream, MemorySegment arguments, MlstmProducts products) {
    states(stream, arguments, products, true);
    normalizers(stream, "normalizer_gradients", arguments);
  }

  private void states(
      CudaStream stream, MemorySegment arguments, MlstmProducts products, boolean backward) {
    if (!products.weigh()) {
      pack(stream, backward ? "weigh_q" : "weigh_k", shape.qkDim(), arguments);
    }
    if (chunks.segments() > 1) {
      products.states(backward, true);
      int blocks = ceil(Math.multiplyExact(shape.qkDim(), shape.vDim()), 256);
      launch(
          stream,
          "mlstm/sequences",
          backward ? "segments_backward" : "segments_forward",
          new Launch(blocks, shape.pairs(), 1, 256, 1, 0, 1),
          arguments);
    }
    products.states(backward, false);
  }

  private void normalizers(CudaStream stream, String name, MemorySegment arguments) {
    int blocks = Math.toIntExact(Math.ceilDiv(shape.nValues(), 64L));
    launch(stream, "mlstm/gates", name, Launch.of(blocks, 64), arguments);
  }

  private void launch(
      CudaStream stream, String source, String name, Launch launch, MemorySegment arguments) {
    kernels.function(source, name).launch(stream, launch, arguments);
  }

  private static int padded(int width) {
    return ceil(width, EIGHT) * EIGHT;
  }

  private static int ceil(int count, int by) {
    return Math.ceilDiv(count, by);
  }
}
