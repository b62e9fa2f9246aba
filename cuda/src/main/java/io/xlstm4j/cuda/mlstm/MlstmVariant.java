package io.xlstm4j.cuda.mlstm;

/// How the products are computed.
public enum MlstmVariant {
  /// Matrix units by `mma.sync`: compute capability 8.0 and newer.
  GENERAL,

  /// Matrix units by `wgmma`, operands brought by the copy engine: compute capability 9.0,
  /// bfloat16. Calls with padding go through the general kernels.
  HOPPER
}
