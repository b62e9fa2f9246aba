package io.xlstm4j.core.config;

/// A residual block of the paper family: one of two kinds.
public sealed interface BlockConfig permits MlstmBlockConfig, SlstmBlockConfig {}
