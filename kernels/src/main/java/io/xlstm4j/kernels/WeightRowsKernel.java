package io.xlstm4j.kernels;

/// Reads rows of a [WeightMatrix] as the float32 they stand for: an embedding lookup, or one block
/// of a product. Both implementations give the same bits.
public sealed interface WeightRowsKernel permits ScalarWeightRowsKernel, VectorWeightRowsKernel {
  /// Row `row` to `to[at ..]`; not checked against the matrix's size.
  void widen(WeightMatrix w, int row, float[] to, int at);
}
