package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.Lazy;
import java.lang.System.Logger.Level;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/// The kernels of this process, chosen once: on the Vector API if the JVM was started with its
/// module, else the plain loops, which give the same numbers more slowly.
///
/// Here the two implementations are only names of classes, so that nothing of the Vector API is
/// loaded, nor even verified, where its module is missing.
public final class Kernels {
  private static final String MODULE = "jdk.incubator.vector";
  private static final String FLAG = "--add-modules " + MODULE;
  private static final String THREADS = "xlstm4j.threads";
  private static final String VECTOR = "io.xlstm4j.kernels.vector.VectorKernels";
  private static final String REFERENCE = "io.xlstm4j.kernels.reference.ReferenceKernels";

  /// True once the lack of the Vector API has been logged.
  private static final AtomicBoolean WARNED = new AtomicBoolean();

  private final KernelThreads threads;
  private final KernelProvider provider;
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
  private final Lazy<AdamWKernel> adamW;
  private final Lazy<ElementwiseKernel> elementwise;
  private final Lazy<SoftCapKernel> softCap;
  private final Lazy<SwiGluKernel> swiGlu;
  private final Lazy<ScaledNormKernel> scaledNorm;

  private final @Nullable Kernels singleThreaded;
  private final DecodeKernels decode;

  /// @param cold whether the first tokens are to come before the Vector API is compiled
  private Kernels(KernelThreads threads, boolean vectorized, boolean cold) {
    this.threads = threads;
    this.vectorized = vectorized;
    provider = load(vectorized ? VECTOR : REFERENCE);
    slstm = new Lazy<>(provider::slstm);
    mlstm = new Lazy<>(() -> provider.mlstm(threads));
    projectedMlstm = new Lazy<>(() -> provider.projectedMlstm(threads));
    causalConv = new Lazy<>(provider::causalConv);
    headwise = new Lazy<>(() -> provider.headwise(threads));
    headNorm = new Lazy<>(provider::headNorm);
    gatedFeedForward = new Lazy<>(provider::gatedFeedForward);
    linear = new Lazy<>(provider::linear);
    crossEntropy = new Lazy<>(provider::crossEntropy);
    adamW = new Lazy<>(provider::adamW);
    elementwise = new Lazy<>(provider::elementwise);
    softCap = new Lazy<>(provider::softCap);
    swiGlu = new Lazy<>(provider::swiGlu);
    scaledNorm = new Lazy<>(provider::scaledNorm);
    decode = provider.decode(threads, cold);
    singleThreaded =
        threads.count() == 1 ? null : new Kernels(KernelThreads.singleThreaded(), this);
  }

  /// The kernels of others on other threads.
  private Kernels(KernelThreads threads, Kernels others) {
    this.threads = threads;
    vectorized = others.vectorized;
    provider = others.provider;
    slstm = others.slstm;
    mlstm = new Lazy<>(() -> provider.mlstm(threads));
    projectedMlstm = new Lazy<>(() -> provider.projectedMlstm(threads));
    causalConv = others.causalConv;
    headwise = new Lazy<>(() -> provider.headwise(threads));
    headNorm = others.headNorm;
    gatedFeedForward = others.gatedFeedForward;
    linear = others.linear;
    crossEntropy = others.crossEntropy;
    adamW = others.adamW;
    elementwise = others.elementwise;
    softCap = others.softCap;
    swiGlu = others.swiGlu;
    scaledNorm = others.scaledNorm;
    decode = others.decode;
    singleThreaded = null;
  }

  private static KernelProvider load(String name) {
    try {
      return Class.forName(name)
          .asSubclass(KernelProvider.class)
          .getDeclaredConstructor()
          .newInstance();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("the class " + name + " is missing from this build", e);
    }
  }

  /// The ones that everything in this process shares. The system property `xlstm4j.threads` bounds
  /// their threads; the default is one for each processor.
  public static Kernels shared() {
    return Shared.INSTANCE;
  }

  /// Returns kernels with threads of their own, on the Vector API if its module is there.
  public static Kernels withThreads(int threadCount) {
    return new Kernels(new KernelThreads(threadCount), vectorsOrWarning(), false);
  }

  /// Returns kernels of one kind with threads of their own, for tests.
  ///
  /// @param vectorized whether to use the Vector API, which must be there then
  /// @throws IllegalStateException if the Vector API is wanted and its module is missing
  public static Kernels with(int threadCount, boolean vectorized) {
    if (vectorized && !hasVectors()) {
      throw new IllegalStateException("the Vector API is missing: start Java with " + FLAG);
    }
    return new Kernels(new KernelThreads(threadCount), vectorized, false);
  }

  /// Kernels with threads of their own that begin as those of a new process do: lane by lane until
  /// [#warmUpJit].
  public static Kernels starting(int threadCount) {
    return new Kernels(new KernelThreads(threadCount), vectorsOrWarning(), true);
  }

  /// Made on first use.
  private static final class Shared {
    private static final Kernels INSTANCE =
        starting(Integer.getInteger(THREADS, Runtime.getRuntime().availableProcessors()));
  }

  /// Returns whether the JVM was started with the Vector API's module.
  public static boolean hasVectors() {
    return ModuleLayer.boot().findModule(MODULE).isPresent();
  }

  private static boolean vectorsOrWarning() {
    boolean has = hasVectors();
    if (!has && !WARNED.getAndSet(true)) {
      System.getLogger(Kernels.class.getPackageName())
          .log(
              Level.WARNING,
              "The Vector API is missing: plain loops are used, which are many times slower."
                  + " Start Java with "
                  + FLAG);
    }
    return has;
  }

  public KernelThreads threads() {
    return threads;
  }

  /// The same kernels, with the same results, on the calling thread alone: for work that is too
  /// little to share, and within a task.
  public Kernels singleThreaded() {
    return singleThreaded == null ? this : singleThreaded;
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
  public PositionKernels positions() {
    return decode.positions();
  }

  /// The forward-only kernels of single tokens.
  public TokenKernels tokens() {
    return decode.tokens();
  }

  /// Forward-only products with matrices as they lie in a file.
  public StoredLinearKernel storedLinear() {
    return decode.storedLinear(threads);
  }

  /// To be called when the first tokens are out: from now on there is time to compile.
  public void warmUpJit() {
    decode.warmUpJit();
  }

  /// Returns whether [#warmUpJit] was called, or was never needed.
  public boolean jitWarmUpHasBegun() {
    return decode.jitWarmUpHasBegun();
  }

  /// Returns a product of small matrices with scratch of its own: one per thread.
  public GemmKernel matrixProduct() {
    return provider.matrixProduct();
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

  public AdamWKernel adamW() {
    return adamW.get();
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

  /// Returns whether the Vector API is used.
  public boolean vectorized() {
    return vectorized;
  }

  /// Describes in one line which kernels were chosen and why.
  public String description() {
    String threadCount = threads.count() + (threads.count() == 1 ? " thread" : " threads");
    return vectorized
        ? "Vector API, %d lanes of float32, %s".formatted(provider.lanes(), threadCount)
        : "plain loops, " + threadCount + ": slower, because Java was started without " + FLAG;
  }
}
