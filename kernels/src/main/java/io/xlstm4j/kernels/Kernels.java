package io.xlstm4j.kernels;

import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// The kernels of this process, chosen once: on the Vector API if the JVM was started with its
/// module, else the plain loops, which give the same numbers more slowly.
public final class Kernels {
  private static final String MODULE = "jdk.incubator.vector";
  private static final String THREADS = "xlstm4j.threads";

  private final Workers workers;
  private final boolean vectorized;
  private final Lazy<SlstmKernel> slstm;
  private final Lazy<MlstmKernel> mlstm;
  private final Lazy<ProjectedMlstmKernel> projectedMlstm;
  private final Lazy<CausalConvKernel> causalConv;
  private final Lazy<HeadwiseKernel> headwise;
  private final Lazy<HeadNormKernel> headNorm;
  private final Lazy<GatedFeedForwardKernel> gatedFeedForward;
  private final Lazy<LinearKernel> linear;
  private final Lazy<CrossEntropyKernel> crossEntropy;
  private final Lazy<HeadLossKernel> headLoss;
  private final Lazy<AdamWKernel> adamW;
  private final Lazy<ElementwiseKernel> elementwise;
  private final Lazy<MlstmBlockKernel> mlstmBlock;
  private final Lazy<SlstmBlockKernel> slstmBlock;
  private final Lazy<SoftCapKernel> softCap;
  private final Lazy<SwiGluKernel> swiGlu;
  private final Lazy<ScaledNormKernel> scaledNorm;
  private final Lazy<LargeBlockKernel> largeBlock;

  private final @Nullable Kernels alone;
  private final @Nullable WarmUp warmUp;
  private final RowKernels rows;
  private final TokenKernels tokens;

  /// @param cold whether the first tokens are to come before the Vector API is compiled
  private Kernels(Workers workers, boolean vectorized, boolean cold) {
    this.workers = workers;
    this.vectorized = vectorized;
    slstm = either(VectorSlstmKernel::new, ScalarSlstmKernel::new);
    mlstm = either(() -> new VectorMlstmKernel(workers), () -> new ScalarMlstmKernel(workers));
    projectedMlstm =
        either(
            () -> new VectorProjectedMlstmKernel(workers),
            () -> new SeparateProjectedMlstmKernel(headwise(), mlstm()));
    causalConv = either(VectorCausalConvKernel::new, ScalarCausalConvKernel::new);
    headwise = either(() -> new VectorHeadwiseKernel(workers), ScalarHeadwiseKernel::new);
    headNorm = either(VectorHeadNormKernel::new, ScalarHeadNormKernel::new);
    gatedFeedForward = either(VectorGatedFeedForwardKernel::new, ScalarGatedFeedForwardKernel::new);
    linear = either(VectorLinearKernel::new, ScalarLinearKernel::new);
    crossEntropy = either(VectorCrossEntropyKernel::new, ScalarCrossEntropyKernel::new);
    headLoss = new Lazy<>(() -> new HeadLossKernel(this));
    adamW = either(VectorAdamWKernel::new, ScalarAdamWKernel::new);
    elementwise = either(VectorElementwiseKernel::new, ScalarElementwiseKernel::new);
    mlstmBlock = new Lazy<>(() -> new MlstmBlockKernel(this));
    slstmBlock = new Lazy<>(() -> new SlstmBlockKernel(this));
    softCap = either(VectorSoftCapKernel::new, ScalarSoftCapKernel::new);
    swiGlu = either(VectorSwiGluKernel::new, ScalarSwiGluKernel::new);
    scaledNorm = either(VectorScaledNormKernel::new, ScalarScaledNormKernel::new);
    largeBlock = new Lazy<>(() -> new LargeBlockKernel(this));
    Lazy<RowKernels> vectorRows = either(VectorRowKernels::new, ScalarRowKernels::new);
    Lazy<TokenKernels> vectorTokens = either(VectorTokenKernels::new, ScalarTokenKernels::new);
    warmUp = cold && vectorized ? new WarmUp(workers, vectorRows, vectorTokens) : null;
    rows = warmUp == null ? vectorRows.get() : new WarmRowKernels(warmUp, vectorRows);
    tokens = warmUp == null ? vectorTokens.get() : new WarmTokenKernels(warmUp, vectorTokens);
    alone = workers.count() == 1 ? null : new Kernels(Workers.alone(), this);
  }

  /// The kernels of others on other threads.
  private Kernels(Workers workers, Kernels others) {
    this.workers = workers;
    vectorized = others.vectorized;
    slstm = others.slstm;
    mlstm = either(() -> new VectorMlstmKernel(workers), () -> new ScalarMlstmKernel(workers));
    projectedMlstm =
        either(
            () -> new VectorProjectedMlstmKernel(workers),
            () -> new SeparateProjectedMlstmKernel(headwise(), mlstm()));
    causalConv = others.causalConv;
    headwise = either(() -> new VectorHeadwiseKernel(workers), ScalarHeadwiseKernel::new);
    headNorm = others.headNorm;
    gatedFeedForward = others.gatedFeedForward;
    linear = others.linear;
    crossEntropy = others.crossEntropy;
    headLoss = new Lazy<>(() -> new HeadLossKernel(this));
    adamW = others.adamW;
    elementwise = others.elementwise;
    mlstmBlock = new Lazy<>(() -> new MlstmBlockKernel(this));
    slstmBlock = new Lazy<>(() -> new SlstmBlockKernel(this));
    softCap = others.softCap;
    swiGlu = others.swiGlu;
    scaledNorm = others.scaledNorm;
    largeBlock = new Lazy<>(() -> new LargeBlockKernel(this));
    warmUp = others.warmUp;
    rows = others.rows;
    tokens = others.tokens;
    alone = null;
  }

  /// On the Vector API or in plain loops, made when it is wanted: a process that serves needs few,
  /// and soon.
  private <K> Lazy<K> either(Supplier<? extends K> vector, Supplier<? extends K> scalar) {
    return new Lazy<>(() -> vectorized ? vector.get() : scalar.get());
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
    return new Kernels(new Workers(threads), vectorized, false);
  }

  /// Kernels with threads of their own that begin as those of a new process do: lane by lane until
  /// [#warmUp].
  public static Kernels starting(int threads) {
    return new Kernels(new Workers(threads), hasVectors(), true);
  }

  /// Made on first use.
  private static final class Shared {
    private static final Kernels INSTANCE =
        starting(Integer.getInteger(THREADS, Runtime.getRuntime().availableProcessors()));
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
    return slstm.get();
  }

  public MlstmKernel mlstm() {
    return mlstm.get();
  }

  public ProjectedMlstmKernel projectedMlstm() {
    return projectedMlstm.get();
  }

  public CausalConvKernel causalConv() {
    return causalConv.get();
  }

  public HeadwiseKernel headwise() {
    return headwise.get();
  }

  public HeadNormKernel headNorm() {
    return headNorm.get();
  }

  public GatedFeedForwardKernel gatedFeedForward() {
    return gatedFeedForward.get();
  }

  /// The forward-only kernels of rows.
  public RowKernels rows() {
    return rows;
  }

  /// The forward-only kernels of single tokens.
  public TokenKernels tokens() {
    return tokens;
  }

  /// Forward-only products with matrices as they lie in a file.
  public Projector projector() {
    return new Projector(workers, vectorized, warmUp);
  }

  /// To be called when the first tokens are out: from now on there is time to compile.
  public void warmUp() {
    if (warmUp != null) {
      warmUp.begin();
    }
  }

  /// Whether [#warmUp] was called, or was never needed.
  public boolean warmUpHasBegun() {
    return warmUp == null || warmUp.hasBegun();
  }

  public LinearKernel linear() {
    return linear.get();
  }

  public ElementwiseKernel elementwise() {
    return elementwise.get();
  }

  public CrossEntropyKernel crossEntropy() {
    return crossEntropy.get();
  }

  public HeadLossKernel headLoss() {
    return headLoss.get();
  }

  public AdamWKernel adamW() {
    return adamW.get();
  }

  public MlstmBlockKernel mlstmBlock() {
    return mlstmBlock.get();
  }

  public SlstmBlockKernel slstmBlock() {
    return slstmBlock.get();
  }

  public SoftCapKernel softCap() {
    return softCap.get();
  }

  public SwiGluKernel swiGlu() {
    return swiGlu.get();
  }

  public ScaledNormKernel scaledNorm() {
    return scaledNorm.get();
  }

  public LargeBlockKernel largeBlock() {
    return largeBlock.get();
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
