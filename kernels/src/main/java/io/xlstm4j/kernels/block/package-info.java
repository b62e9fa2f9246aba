/// Whole residual blocks, layers, and the head with its loss: forward, backward, and the memory
/// that each needs.
///
/// A block here is a sequence of calls of kernels from `Kernels`, so it runs on plain loops and on
/// the Vector API alike. It knows nothing of autograd or of parameters by name: module `torch`
/// makes operations of a graph of it. Begin with [MlstmBlockKernel] and its memory,
/// `MlstmBlockWorkspace`.
@NullMarked
package io.xlstm4j.kernels.block;

import org.jspecify.annotations.NullMarked;
