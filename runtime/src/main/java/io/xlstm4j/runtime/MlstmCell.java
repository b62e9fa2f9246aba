package io.xlstm4j.runtime;

import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.TokenKernels;
import java.lang.foreign.MemorySegment;
import java.util.function.IntConsumer;

/// The mLSTM cell of a block: whole runs in chunks, single tokens step by step.
final class MlstmCell {
  private final Workspace work;
  private final TokenKernels.Mlstm cell;
  private final TokenKernels.MlstmOperands rows;
  private final int stateAt;
  private final IntConsumer stepTask = this::step;

  /// @param rows where queries, keys, values, gates and outputs of a batch lie
  MlstmCell(
      Workspace work,
      StateLayout layout,
      String prefix,
      TokenKernels.Mlstm cell,
      TokenKernels.MlstmOperands rows) {
    this.work = work;
    this.cell = cell;
    this.rows = rows;
    stateAt = layout.add(prefix + "c", cell.heads(), cell.qkDim(), cell.vDim());
    layout.add(prefix + "n", cell.heads(), cell.qkDim());
    layout.add(prefix + "m", cell.heads());
  }

  void forward() {
    if (!work.isSequence() || work.tokens() == 1) {
      work.kernels.threads().run(work.tokens() * cell.heads(), stepTask);
    } else if (!work.isByToken() && cell.epsilon() == MlstmKernel.EPS) {
      chunks();
    } else { // a short run; and the kernel in chunks knows one epsilon only
      work.kernels
          .threads()
          .run(
              cell.heads(),
              head -> {
                for (int token = 0; token < work.tokens(); token++) {
                  step(token * cell.heads() + head);
                }
              });
    }
  }

  private void step(int task) {
    int token = task / cell.heads();
    work.kernels
        .tokens()
        .mlstm(cell, rows, token, task % cell.heads(), work.stateOf(token), stateAt);
  }

  private void chunks() {
    var shape = new MlstmShape(1, work.tokens(), cell.heads(), cell.qkDim(), cell.vDim());
    int ns = cell.heads() * cell.qkDim();
    int cs = ns * cell.vDim();
    MemorySegment memory = work.stateOf(0);
    var state =
        new MlstmState(
            slice(memory, stateAt, cs),
            slice(memory, stateAt + cs, ns),
            slice(memory, stateAt + cs + ns, cell.heads()));
    var inputs =
        new MlstmInputs(
            of(rows.q()),
            of(rows.k()),
            of(rows.v()),
            of(rows.igate()),
            of(rows.fgate()),
            null,
            null);
    work.kernels.mlstm().forward(shape, inputs, state, of(rows.h()), state, null);
  }

  private static StridedMatrix of(MemoryMatrix rows) {
    return new StridedMatrix(rows.data().asSlice(rows.offset() * Float.BYTES), rows.stride());
  }

  static MemorySegment slice(MemorySegment memory, long at, long floats) {
    return memory.asSlice(at * Float.BYTES, floats * Float.BYTES);
  }
}
