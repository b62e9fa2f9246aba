package io.xlstm4j.runtime;

/// A residual block: adds to `x` of its workspace, and advances the states of the batch's
/// sequences.
interface RuntimeBlock {
  void forward();
}
