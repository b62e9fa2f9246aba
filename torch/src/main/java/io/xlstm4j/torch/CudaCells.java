package io.xlstm4j.torch;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.CudaException;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.mlstm.MlstmKernels;
import io.xlstm4j.cuda.mlstm.MlstmPlan;
import io.xlstm4j.cuda.mlstm.MlstmShape;
import io.xlstm4j.cuda.slstm.SlstmKernels;
import io.xlstm4j.cuda.slstm.SlstmPlan;
import io.xlstm4j.cuda.slstm.SlstmShape;
import java.lang.System.Logger.Level;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiFunction;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The cells on our own kernels for one GPU. [SlstmCell] and [MlstmCell] are the reference
/// implementations: the kernels are compared with them once for each kind of cell, and kernels that
/// are wrong on a chip are not used there.
///
/// The kernels run where [CudaGpu] says. Nothing here waits for the device but the comparison. Safe
/// for many threads.
final class CudaCells {
  private static final System.Logger LOG = System.getLogger(CudaCells.class.getPackageName());
  private static final int LARGEST_GRID = 65_535;
  private static final String SLSTM = "the sLSTM cell runs step by step on libtorch's operations";
  private static final String MLSTM = "the mLSTM cell runs on libtorch's operations";
  private static final Map<Integer, Optional<CudaCells>> BY_DEVICE = new HashMap<>();
  private static final Set<String> WARNED = ConcurrentHashMap.newKeySet();

  private final CudaGpu gpu;
  private final SlstmKernels slstm;
  private final MlstmKernels mlstm;
  private final Plans<SlstmShape, SlstmPlan> slstmPlans = new Plans<>();
  private final Plans<MlstmShape, MlstmPlan> mlstmPlans = new Plans<>();
  private final Map<Record, Boolean> right = new ConcurrentHashMap<>();

  /// The key of the sLSTM kernel's code.
  private record SlstmKind(int heads, int headDim, ElementType type) {}

  /// The key of the mLSTM kernels' code.
  ///
  /// @param padded whether there is a mask of padding
  private record MlstmKind(int qkDim, int vDim, ElementType type, boolean padded) {}

  private CudaCells(CudaGpu gpu) {
    this.gpu = gpu;
    slstm = SlstmKernels.load(gpu.context());
    mlstm = MlstmKernels.load(gpu.context());
  }

  /// Returns the kernels for the gates `wx` `(B, S, 4, NH, DH)`; null if it is on no GPU, or if the
  /// GPU or the kernels cannot compute it, which is logged once.
  static @Nullable CudaCells forSlstm(Tensor wx) {
    @Nullable ElementType type = wx.is_cuda() ? type(wx) : null;
    if (type == null || wx.dim() != 5 || wx.numel() == 0) {
      return null;
    }
    int device = wx.device().index();
    Optional<String> reason = whyNot(wx.size(0), wx.size(1), wx.size(3), wx.size(4));
    if (reason.isPresent()) {
      warn(device, SLSTM, reason.get());
      return null;
    }
    @Nullable CudaCells cells = of(device);
    return cells != null && cells.computesSlstm((int) wx.size(3), (int) wx.size(4), type)
        ? cells
        : null;
  }

  /// Returns the kernels for an mLSTM cell; null if it is on no GPU, or if the GPU or the kernels
  /// cannot compute it, which is logged once.
  ///
  /// @param q `(B, S, NH * DHQK)`, which decides device and type
  /// @param v `(B, S, NH * DHV)`
  /// @param iPre `(B, S, NH)`
  static @Nullable CudaCells forMlstm(Tensor q, Tensor v, Tensor iPre, SequenceLayout layout) {
    @Nullable ElementType type = q.is_cuda() ? type(q) : null;
    if (type == null || q.numel() == 0 || v.numel() == 0) {
      return null;
    }
    int device = q.device().index();
    MlstmShape shape;
    try {
      shape = CudaMlstm.shape(q, v, iPre);
    } catch (IllegalArgumentException e) {
      warn(device, MLSTM, e.getMessage());
      return null;
    }
    @Nullable CudaCells cells = of(device);
    return cells != null && cells.computesMlstm(shape, type, layout.valid() != null) ? cells : null;
  }

  /// Returns why the kernels cannot compute an sLSTM cell of these sizes; empty if they can.
  static Optional<String> whyNot(long batch, long length, long heads, long headDim) {
    if (headDim > SlstmShape.LARGEST_HEAD_DIM) {
      return Optional.of(
          "heads of %d units are wider than %d".formatted(headDim, SlstmShape.LARGEST_HEAD_DIM));
    }
    if (heads > LARGEST_GRID || batch > 4L * LARGEST_GRID) {
      return Optional.of("%d sequences of %d heads are too many".formatted(batch, heads));
    }
    return batch * length >= Integer.MAX_VALUE
        ? Optional.of("%d sequences of %d tokens are too many".formatted(batch, length))
        : Optional.empty();
  }

  /// The kernels' name of a tensor's type; null for types that they do not know.
  static @Nullable ElementType type(Tensor x) {
    ScalarType type = x.scalar_type().intern();
    return type == ScalarType.Float
        ? ElementType.FLOAT32
        : type == ScalarType.BFloat16 ? ElementType.BFLOAT16 : null;
  }

  private static @Nullable CudaCells of(int device) {
    synchronized (BY_DEVICE) {
      return BY_DEVICE.computeIfAbsent(device, CudaCells::load).orElse(null);
    }
  }

  private static Optional<CudaCells> load(int device) {
    try {
      return Optional.of(new CudaCells(CudaGpu.open(device)));
    } catch (CudaException | IllegalStateException e) {
      warn(device, SLSTM, e.getMessage());
      warn(device, MLSTM, e.getMessage());
      return Optional.empty();
    }
  }

  /// Logs each reason once.
  private static void warn(int device, String what, @Nullable String reason) {
    String line = "cuda:%d: %s: %s".formatted(device, what, reason);
    if (WARNED.add(line)) {
      LOG.log(Level.WARNING, line);
    }
  }

  private boolean computesSlstm(int heads, int headDim, ElementType type) {
    return isRight(
        SLSTM,
        new SlstmKind(heads, headDim, type),
        () -> CudaCellCheck.slstmFault(this, heads, headDim, type));
  }

  private boolean computesMlstm(MlstmShape shape, ElementType type, boolean padded) {
    return isRight(
        MLSTM,
        new MlstmKind(shape.qkDim(), shape.vDim(), type, padded),
        () -> CudaCellCheck.mlstmFault(this, shape.qkDim(), shape.vDim(), type, padded));
  }

  /// Compares without a lock: the backward pass of the comparison runs on a thread of libtorch's,
  /// which takes this object's lock. Two threads may both compare.
  private boolean isRight(String otherwise, Record kind, Supplier<Optional<String>> comparison) {
    @Nullable Boolean known = right.get(kind);
    if (known == null) {
      known = check(otherwise, comparison);
      right.put(kind, known);
    }
    return known;
  }

  private boolean check(String otherwise, Supplier<Optional<String>> comparison) {
    try {
      Optional<String> fault = comparison.get();
      fault.ifPresent(reason -> warn(gpu.ordinal(), otherwise, reason));
      return fault.isEmpty();
    } catch (CudaException e) {
      warn(gpu.ordinal(), otherwise, e.getMessage());
      return false;
    }
  }

  /// As [SlstmCell#forward] of the paper's cell without clips.
  ///
  /// @param wx float32 or bfloat16; y and the gradient of `wx` have its type, products read R in it
  /// @return y in the type of `wx`; states in float32
  SlstmCell.Output slstm(
      Tensor wx, Tensor r, Tensor b, SlstmCell.State initial, SequenceLayout layout) {
    SlstmCell.check(wx, r, b, initial, layout);
    return CudaSlstm.forward(this, wx, r, b, initial, layout);
  }

  /// As [ExecutionMode#mlstm], without a gradient through m.
  ///
  /// @param q float32 or bfloat16; h and the gradients of q, k and v have its type
  /// @return h in the type of q; states in float32
  MlstmCell.Output mlstm(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor iPre,
      Tensor fPre,
      MlstmCell.State initial,
      SequenceLayout layout) {
    return CudaMlstm.forward(this, q, k, v, iPre, fPre, initial, layout);
  }

  /// Returns a plan for sizes. The caller holds this object's lock, also while the plan works.
  SlstmPlan plan(SlstmShape shape, ElementType type) {
    return slstmPlans.get(shape, type, slstm::plan);
  }

  /// Returns a plan for sizes. The caller holds this object's lock, also while the plan works.
  MlstmPlan plan(MlstmShape shape, ElementType type) {
    return mlstmPlans.get(shape, type, mlstm::plan);
  }

  /// The plans that were used last.
  private static final class Plans<S, P> {
    private static final int MOST = 64;

    private final SequencedMap<Key<S>, P> bySize = new LinkedHashMap<>();

    private record Key<S>(S shape, ElementType type) {}

    P get(S shape, ElementType type, BiFunction<S, ElementType, P> maker) {
      var key = new Key<>(shape, type);
      @Nullable P known = bySize.remove(key);
      P plan = known == null ? maker.apply(shape, type) : known;
      bySize.putLast(key, plan);
      if (bySize.size() > MOST) {
        bySize.pollFirstEntry();
      }
      return plan;
    }
  }

  /// A new handle of the device; owned by the caller's scope.
  Device device() {
    return gpu.device();
  }

  /// The calling thread's current stream of libtorch.
  CudaStream stream() {
    return gpu.stream();
  }
}
