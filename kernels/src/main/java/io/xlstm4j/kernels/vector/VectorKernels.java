package io.xlstm4j.kernels.vector;

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
import io.xlstm4j.kernels.ProjectedMlstmKernel;
import io.xlstm4j.kernels.ScaledNormKernel;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.SoftCapKernel;
import io.xlstm4j.kernels.SwiGluKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.vector.decode.VectorDecodeKernels;
import io.xlstm4j.kernels.vector.gemm.VectorGemmKernel;
import io.xlstm4j.kernels.vector.gemm.VectorLinearKernel;
import io.xlstm4j.kernels.vector.mlstm.VectorHeadwiseKernel;
import io.xlstm4j.kernels.vector.mlstm.VectorMlstmKernel;
import io.xlstm4j.kernels.vector.mlstm.VectorProjectedMlstmKernel;
import io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel;
import jdk.incubator.vector.FloatVector;

/// The kernels on the Vector API.
public final class VectorKernels implements KernelProvider {
  @Override
  public SlstmKernel slstm() {
    return new VectorSlstmKernel();
  }

  @Override
  public MlstmKernel mlstm(KernelThreads threads) {
    return new VectorMlstmKernel(threads);
  }

  @Override
  public ProjectedMlstmKernel projectedMlstm(KernelThreads threads) {
    return new VectorProjectedMlstmKernel(threads);
  }

  @Override
  public CausalConvKernel causalConv() {
    return new VectorCausalConvKernel();
  }

  @Override
  public HeadwiseKernel headwise(KernelThreads threads) {
    return new VectorHeadwiseKernel(threads);
  }

  @Override
  public HeadNormKernel headNorm() {
    return new VectorHeadNormKernel();
  }

  @Override
  public GatedFeedForwardKernel gatedFeedForward() {
    return new VectorGatedFeedForwardKernel();
  }

  @Override
  public LinearKernel linear() {
    return new VectorLinearKernel();
  }

  @Override
  public CrossEntropyKernel crossEntropy() {
    return new VectorCrossEntropyKernel();
  }

  @Override
  public AdamWKernel adamW() {
    return new VectorAdamWKernel();
  }

  @Override
  public ElementwiseKernel elementwise() {
    return new VectorElementwiseKernel();
  }

  @Override
  public SoftCapKernel softCap() {
    return new VectorSoftCapKernel();
  }

  @Override
  public SwiGluKernel swiGlu() {
    return new VectorSwiGluKernel();
  }

  @Override
  public ScaledNormKernel scaledNorm() {
    return new VectorScaledNormKernel();
  }

  @Override
  public GemmKernel matrixProduct() {
    return new VectorGemmKernel();
  }

  @Override
  public DecodeKernels decode(KernelThreads threads, boolean cold) {
    return new VectorDecodeKernels(threads, cold);
  }

  @Override
  public int lanes() {
    return FloatVector.SPECIES_PREFERRED.length();
  }
}
