package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;

/// A source of kernels of one kind: plain loops or the Vector API. [Kernels] finds the two by the
/// names of their classes, so that the JVM loads nothing that links `jdk.incubator.vector` where
/// that module is missing. Each call makes a new kernel.
public interface KernelProvider {
  SlstmKernel slstm();

  MlstmKernel mlstm(KernelThreads threads);

  ProjectedMlstmKernel projectedMlstm(KernelThreads threads);

  CausalConvKernel causalConv();

  HeadwiseKernel headwise(KernelThreads threads);

  HeadNormKernel headNorm();

  GatedFeedForwardKernel gatedFeedForward();

  LinearKernel linear();

  CrossEntropyKernel crossEntropy();

  AdamWKernel adamW();

  ElementwiseKernel elementwise();

  SoftCapKernel softCap();

  SwiGluKernel swiGlu();

  ScaledNormKernel scaledNorm();

  /// Returns a matrix product, whose scratch is for one thread.
  GemmKernel matrixProduct();

  /// @param cold whether the first tokens are to be computed before the kernels are compiled, until
  ///   [DecodeKernels#warmUpJit]
  DecodeKernels decode(KernelThreads threads, boolean cold);

  /// Returns how many float32 numbers one instruction computes with.
  int lanes();
}
