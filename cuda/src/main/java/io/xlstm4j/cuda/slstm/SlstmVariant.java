package io.xlstm4j.cuda.slstm;

/// The kernels that compute the cell.
public enum SlstmVariant {
  /// One block a head and four sequences, the recurrent kernel read from the L2 cache at every
  /// token, products as plain float32 multiply-adds. Any chip from compute capability 8.0 on.
  GENERAL,
  /// A cluster of blocks a head and sixteen sequences, the recurrent kernel in their shared memory,
  /// products by the matrix units: bfloat16 operands as they are, float32 operands as sums of two
  /// bfloat16 values. Compute capability 9.0 and newer.
  CLUSTER
}
