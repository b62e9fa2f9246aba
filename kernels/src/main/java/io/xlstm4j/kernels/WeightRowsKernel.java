package io.xlstm4j.kernels;

/// Reads rows of a [WeightMatrix] as the float32 they stand for: an embedding lookup, or one block
/// of a product. Both implementations give the same bits.
public interface WeightRowsKernel {
  /// `count` rows from `first` on, one every `stride` floats of `to`; not checked against the
  /// matrix's size.
  ///
  /// @param stored room for them as they are stored; its former contents are lost
  void widen(WeightMatrix w, int first, int count, StoredRows stored, float[] to, int stride);
}
