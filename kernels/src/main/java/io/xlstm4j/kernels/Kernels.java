package io.xlstm4j.kernels;

import org.jspecify.annotations.Nullable;

/// The kernels of this process, chosen once: on the Vector API if the JVM was started with its
/// module, else the plain loops, which give the same numbers more slowly.
public final class Kernels {
  private static final String MODULE = "jdk.incubator.vector";
  private static final String THREADS = "xlstm4j.threads";

  private final Workers workers;
  private final boolean vectorized;
  private final SlstmKernel slstm;
  private final MlstmKernel mlstm;
  private final CausalConvKernel causalConv;
  private final HeadwiseKernel headwise;
  private final HeadNormKernel headNorm;
  private final GatedFeedForwardKernel gatedFeedForward;
  private final LinearKernel linear;
  private final CrossEntropyKernel crossEntropy;
  private final HeadLossKernel headLoss;
  private final AdamWKernel adamW;
  private final ElementwiseKernel elementwise;
  private final MlstmBlockKernel mlstmBlock;
  private final SlstmBlockKernel slstmBlock;
  private final SoftCapKernel softCap;
  private final SwiGluKernel swiGlu;
  private final ScaledNormKernel scaledNorm;
  private final LargeBlockKernel largeBlock;

  private final @Nullable Kernels alone;
  private final RowKernels rows;
  private final TokenKernels tokens;

  private Kernels(Workers workers, boolean vectorized) {
    this.workers = workers;
    this.vectorized = vectorized;
    slstm = vectorized ? new VectorSlstmKernel() : new ScalarSlstmKernel();
    mlstm = vectorized ? new VectorMlstmKernel(workers) : new ScalarMlstmKernel(workers);
    causalConv = vectorized ? new VectorCausalConvKernel() : new ScalarCausalConvKernel();
    headwise = vectorized ? new VectorHeadwiseKernel(workers) : new ScalarHeadwiseKernel();
    headNorm = vectorized ? new VectorHeadNormKernel() : new ScalarHeadNormKernel();
    gatedFeedForward =
        vectorized ? new VectorGatedFeedForwardKernel() : new ScalarGatedFeedForwardKernel();
    rows = vectorized ? new VectorRowKernels() : new ScalarRowKernels();
    tokens = vectorized ? new VectorTokenKernels() : new ScalarTokenKernels();
    linear = vectorized ? new VectorLinearKernel() : new ScalarLinearKernel();
    crossEntropy = vectorized ? new VectorCrossEntropyKernel() : new ScalarCrossEntropyKernel();
    headLoss = new HeadLossKernel(this);
    adamW = vectorized ? new VectorAdamWKernel() : new ScalarAdamWKernel();
    elementwise = vectorized ? new VectorElementwiseKernel() : new ScalarElementwiseKernel();
    alone = workers.count() == 1 ? null : new Kernels(Workers.alone(), vectorized);
    mlstmBlock = new MlstmBlockKernel(this);
    slstmBlock = new SlstmBlockKernel(this);
    softCap = vectorized ? new VectorSoftCapKernel() : new ScalarSoftCapKernel();
    swiGlu = vectorized ? new VectorSwiGluKernel() : new ScalarSwiGluKernel();
    scaledNorm = vectorized ? new VectorScaledNormKernel() : new ScalarScaledNormKernel();
    largeBlock = new LargeBlockKernel(this);
  }

  /// The ones that everything in this process shares. The system property `xlstm4j.threads` bounds
  /// their threads; the default is one for each processor.
  public static Kernels shared() {
    return Shared.INSTANCE;
  }

  /// Kernels with threads of their own, for tests.
  ///
  /// @param vectorized whether to use the Vector API, which must be there then
  public static Kernels with(int threads, boolean vectorized) {
    return new Kernels(new Workers(threads), vectorized);
  }

  /// Made on first use.
  private static final class Shared {
    private static final Kernels INSTANCE =
        new Kernels(
            new Workers(Integer.getInteger(THREADS, Runtime.getRuntime().availableProcessors())),
            hasVectors());
  }

  /// Whether the JVM was started with the Vector API's module.
  public static boolean hasVectors() {
    return ModuleLayer.boot().findModule(MODULE).isPresent();
  }

  public Workers workers() {
    return workers;
  }

  /// The same kernels, with the same results, on the calling thread alone: for work that is too
  /// little to share, and within a task.
  public Kernels alone() {
    return alone == null ? this : alone;
  }

  public SlstmKernel slstm() {
    return slstm;
  }

  public MlstmKernel mlstm() {
    return mlstm;
  }

  public CausalConvKernel causalConv() {
    return causalConv;
  }

  public HeadwiseKernel headwise() {
    return headwise;
  }

  public HeadNormKernel headNorm() {
    return headNorm;
  }

  public GatedFeedForwardKernel gatedFeedForward() {
    return gatedFeedForward;
  }

  /// The forward-only kernels of rows.
  public RowKernels rows() {
    return rows;
  }

  /// The forward-only kernels of single tokens.
  public TokenKernels tokens() {
    return tokens;
  }

  public LinearKernel linear() {
    return linear;
  }

  public ElementwiseKernel elementwise() {
    return elementwise;
  }

  public CrossEntropyKernel crossEntropy() {
    return crossEntropy;
  }

  public HeadLossKernel headLoss() {
    return headLoss;
  }

  public AdamWKernel adamW() {
    return adamW;
  }

  public MlstmBlockKernel mlstmBlock() {
    return mlstmBlock;
  }

  public SlstmBlockKernel slstmBlock() {
    return slstmBlock;
  }

  public SoftCapKernel softCap() {
    return softCap;
  }

  public SwiGluKernel swiGlu() {
    return swiGlu;
  }

  public ScaledNormKernel scaledNorm() {
    return scaledNorm;
  }

  public LargeBlockKernel largeBlock() {
    return largeBlock;
  }

  /// Whether the Vector API is used.
  public boolean vectorized() {
    return vectorized;
  }

  /// What was chosen and why, in one line.
  public String description() {
    String threads = workers.count() + (workers.count() == 1 ? " thread" : " threads");
    return vectorized
        ? "Vector API, " + threads
        : "plain loops, "
            + threads
            + ": slower, because Java was started without --add-modules "
            + MODULE;
  }
}
