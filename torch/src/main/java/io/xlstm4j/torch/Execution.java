package io.xlstm4j.torch;

import io.xlstm4j.kernels.Kernels;
import org.bytedeco.pytorch.Tensor;

/// How a model runs: whether it trains, and which of the twins computes its cells. One object that
/// all parts of a model read.
final class Execution {
  private static final FusedCells FUSED = new FusedCells(Kernels.shared());

  /// Tokens that one chunk of the libtorch form takes at once; also the official choice.
  private static final int CHUNK_LENGTH = 64;

  private volatile boolean training;
  private volatile Backend backend = Backend.FUSED;

  boolean training() {
    return training;
  }

  void training(boolean on) {
    training = on;
  }

  void backend(Backend chosen) {
    backend = chosen;
  }

  /// The sLSTM cell over a sequence; shapes of [SlstmCell#forward].
  SlstmCell.Output slstm(
      SlstmCell cell, Tensor wx, Tensor r, Tensor b, SlstmCell.State last, SequenceLayout layout) {
    return fuses(wx) && cell.equals(SlstmCell.PAPER)
        ? FUSED.slstm(wx, r, b, last, layout)
        : cell.forward(wx, r, b, last, layout);
  }

  /// The mLSTM cell over a sequence, positions before heads.
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
      MlstmCell.State last,
      SequenceLayout layout) {
    if (fuses(q)) {
      return FUSED.mlstm(q, k, v, iPre, fPre, last, layout);
    }
    long heads = iPre.size(2);
    MlstmCell.Output cell =
        MlstmCell.forward(
            headsFirst(q, heads),
            headsFirst(k, heads),
            headsFirst(v, heads),
            iPre.transpose(1, 2),
            fPre.transpose(1, 2),
            last,
            layout,
            CHUNK_LENGTH);
    return new MlstmCell.Output(cell.h().transpose(1, 2), cell.state());
  }

  private boolean fuses(Tensor x) {
    return backend == Backend.FUSED && FusedCells.takes(x);
  }

  /// `(B, S, NH * W)` to `(B, NH, S, W)`.
  private static Tensor headsFirst(Tensor x, long heads) {
    return x.view(x.size(0), x.size(1), heads, -1).transpose(1, 2);
  }
}
