package io.xlstm4j.runtime;

import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.StoredLinearKernel.Part;
import io.xlstm4j.kernels.TokenKernels;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/// The sLSTM cell of a block with the projections of its gates: whole runs by the sequence kernel,
/// single tokens step by step (docs/math.md 1.1 to 1.3).
final class SlstmCell {
  private static final String[] SLOTS = {
    "fgate", "igate", "zgate", "ogate"
  }; // stored names swapped

  private final Workspace work;
  private final TokenKernels.Slstm cell;
  private final int heads;
  private final int dim;
  private final MemoryMatrix raw; // gates (tokens, 4, D)
  private final MemoryMatrix last; // y of the token before (tokens, D)
  private final MemoryMatrix h;
  private final int stateAt;
  private final MemorySegment kernel; // (NH, DHin, 4, DHout)
  private final MemorySegment bias; // (NH, 4, DH)
  private final Part[] input; // of a run: the sequence kernel adds the bias
  private final Part[] inputWithBias;
  private final Part[] recurrent;

  /// @param x `(tokens, D)`, for the gates z and o
  /// @param xc the same after the convolution, for i and f
  /// @param h where outputs go `(tokens, D)`
  SlstmCell(
      Workspace work,
      Weights weights,
      StateLayout layout,
      String layer,
      String statePrefix,
      SlstmLayerConfig config,
      int dim,
      MemoryMatrix x,
      MemoryMatrix xc,
      MemoryMatrix h) {
    this.work = work;
    this.dim = dim;
    this.h = h;
    heads = config.numHeads();
    int headDim = dim / heads;
    raw = work.buffer("slstm gates", 4 * dim);
    last = work.buffer("slstm last", dim);
    cell =
        new TokenKernels.Slstm(
            dim,
            switch (config.function()) {
              case SLSTM -> false;
              case LSTM -> true;
            },
            config.forwardClipval() == null ? null : config.forwardClipval().floatValue());
    var stored = new StoredSlstm(weights, layer, heads, headDim);
    kernel = weights.copy(stored.kernel());
    bias = weights.copy(stored.bias());
    MemorySegment gateBias = weights.copy(stored.biasByGate());

    var plain = new ArrayList<Part>();
    var biased = new ArrayList<Part>();
    var recur = new ArrayList<Part>();
    for (int gate = 0; gate < 4; gate++) {
      float[] w = weights.floats(layer + SLOTS[gate] + ".weight");
      List<Part> blocks =
          PaperSlstmBlock.blocks(
              weights,
              w,
              heads,
              headDim,
              headDim,
              null,
              gate < 2 ? xc : x,
              raw.from(gate * dim),
              false);
      plain.addAll(blocks);
      for (int head = 0; head < heads; head++) {
        Part part = blocks.get(head);
        MemorySegment b =
            MlstmCell.slice(gateBias, (long) gate * dim + (long) head * headDim, headDim);
        biased.add(new Part(part.w(), b, part.x(), part.y(), false));
      }
      recur.addAll(
          PaperSlstmBlock.blocks(
              weights,
              stored.kernelOfGate(gate),
              heads,
              headDim,
              headDim,
              null,
              last,
              raw.from(gate * dim),
              true));
    }
    input = plain.toArray(Part[]::new);
    inputWithBias = biased.toArray(Part[]::new);
    recurrent = recur.toArray(Part[]::new);
    stateAt = layout.add(statePrefix + "y", heads, headDim);
    layout.add(statePrefix + "c", heads, headDim);
    layout.add(statePrefix + "n", heads, headDim);
    layout.add(statePrefix + "m", heads, headDim);
  }

  void forward() {
    if (!work.isSequence() || work.tokens() == 1) {
      work.project(inputWithBias);
      step();
    } else if (work.isByToken() || cell.plain() || cell.clip() != null) {
      // a short run, or what the sequence kernel does not know
      work.project(inputWithBias);
      for (int token = 0; token < work.tokens(); token++) {
        oneOfRun(token);
      }
    } else {
      work.project(input);
      run();
    }
  }

  private void step() {
    int tokens = work.tokens();
    for (int token = 0; token < tokens; token++) {
      copy(work.stateOf(token), stateAt, last.data(), last.row(token));
    }
    work.storedLinear.run(tokens, recurrent);
    for (int token = 0; token < tokens; token++) {
      advance(token);
    }
  }

  private void advance(int token) {
    MemorySegment state = work.stateOf(token);
    work.kernels.tokens().slstm(cell, raw.data(), raw.row(token), state, stateAt);
    copy(state, stateAt, h.data(), h.row(token));
  }

  /// The recurrent product reads row 0 of its buffers, so that is where one token goes.
  private void oneOfRun(int token) {
    copy(work.stateOf(0), stateAt, last.data(), last.row(0));
    if (token > 0) {
      MemorySegment.copy(
          raw.data(), raw.row(token) * Float.BYTES, raw.data(), 0, 4L * dim * Float.BYTES);
    }
    work.storedLinear.run(1, recurrent);
    work.kernels.tokens().slstm(cell, raw.data(), 0, work.stateOf(0), stateAt);
    copy(work.stateOf(0), stateAt, h.data(), h.row(token));
  }

  private void copy(MemorySegment from, long at, MemorySegment to, long start) {
    MemorySegment.copy(from, at * Float.BYTES, to, start * Float.BYTES, (long) dim * Float.BYTES);
  }

  private void run() {
    MemorySegment memory = work.stateOf(0);
    var state =
        new SlstmKernel.State(
            MlstmCell.slice(memory, stateAt, dim),
            MlstmCell.slice(memory, stateAt + dim, dim),
            MlstmCell.slice(memory, stateAt + 2L * dim, dim),
            MlstmCell.slice(memory, stateAt + 3L * dim, dim));
    work.kernels
        .slstm()
        .forward(
            new SlstmKernel.Size(1, work.tokens(), heads, dim / heads),
            new SlstmKernel.Inputs(work.whole(raw), kernel, bias, state, null, null),
            work.whole(h),
            state,
            null,
            work.kernels.threads());
  }
}
