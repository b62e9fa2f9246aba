package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.AdamWKernel;
import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.CrossEntropyKernel;
import io.xlstm4j.kernels.DecodeKernels;
import io.xlstm4j.kernels.ElementwiseKernel;
import io.xlstm4j.kernels.GatedFeedForwardKernel;
import io.xlstm4j.kernels.GemmKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.HeadwiseKernel;
import io.xlstm4j.kernels.KernelProvider;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.ProjectedMlstmKernel;
import io.xlstm4j.kernels.ScaledNormKernel;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.SoftCapKernel;
import io.xlstm4j.kernels.StoredLinearKernel;
import io.xlstm4j.kernels.SwiGluKernel;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.memory.KernelThreads;

/// The kernels as plain loops, on any JVM.
public final class ReferenceKernels implements KernelProvider {
  @Override
  public SlstmKernel slstm() {
    return new ScalarSlstmKernel();
  }

  @Override
  public MlstmKernel mlstm(KernelThreads threads) {
    return new ScalarMlstmKernel(threads);
  }

  @Override
  public ProjectedMlstmKernel projectedMlstm(KernelThreads threads) {
    return new SeparateProjectedMlstmKernel(headwise(threads), mlstm(threads));
  }

  @Override
  public CausalConvKernel causalConv() {
    return new ScalarCausalConvKernel();
  }

  @Override
  public HeadwiseKernel headwise(KernelThreads threads) {
    return new ScalarHeadwiseKernel();
  }

  @Override
  public HeadNormKernel headNorm() {
    return new ScalarHeadNormKernel();
  }

  @Override
  public GatedFeedForwardKernel gatedFeedForward() {
    return new ScalarGatedFeedForwardKernel();
  }

  @Override
  public LinearKernel linear() {
    return new ScalarLinearKernel();
  }

  @Override
  public CrossEntropyKernel crossEntropy() {
    return new ScalarCrossEntropyKernel();
  }

  @Override
  public AdamWKernel adamW() {
    return new ScalarAdamWKernel();
  }

  @Override
  public ElementwiseKernel elementwise() {
    return new ScalarElementwiseKernel();
  }

  @Override
  public SoftCapKernel softCap() {
    return new ScalarSoftCapKernel();
  }

  @Override
  public SwiGluKernel swiGlu() {
    return new ScalarSwiGluKernel();
  }

  @Override
  public ScaledNormKernel scaledNorm() {
    return new ScalarScaledNormKernel();
  }

  @Override
  public GemmKernel matrixProduct() {
    return new ScalarGemmKernel();
  }

  @Override
  public DecodeKernels decode(KernelThreads threads, boolean cold) {
    return new Decode(new ScalarPositionKernels(), new ScalarTokenKernels());
  }

  /// Kernels that need no warm-up: they compute the same before and after they are compiled.
  private record Decode(PositionKernels positions, TokenKernels tokens) implements DecodeKernels {
    @Override
    public StoredLinearKernel storedLinear(KernelThreads threads) {
      return new ScalarStoredLinearKernel(threads);
    }

    @Override
    public void warmUpJit() {}

    @Override
    public boolean jitWarmUpHasBegun() {
      return true;
    }
  }

  @Override
  public int lanes() {
    return 1;
  }
}
