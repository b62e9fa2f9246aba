package io.xlstm4j.torch;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.Cuda;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaException;
import io.xlstm4j.cuda.driver.CudaStream;
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
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The sLSTM cell on our own kernels for one GPU. [SlstmCell] is the reference implementation: the
/// kernels are compared with it once for each kind of cell, and kernels that are wrong on a chip
/// are not used there.
///
/// The kernels run in the device's primary context and on the calling thread's current stream, both
/// libtorch's too. So they see what was computed before, and memory that libtorch's allocator gets
/// back is given out again only for work behind them. Nothing here waits for the device but the
/// comparison. Safe for many threads.
final class CudaCells {
  private static final System.Logger LOG = System.getLogger(CudaCells.class.getPackageName());
  private static final int MOST_PLANS = 64;
  private static final int LARGEST_GRID = 65_535;
  private static final Map<Integer, Optional<CudaCells>> BY_DEVICE = new HashMap<>();
  private static final Set<String> WARNED = ConcurrentHashMap.newKeySet();

  private final int ordinal;
  private final CudaContext context;
  private final SlstmKernels kernels;
  private final CurrentStream current;
  private final SequencedMap<Key, SlstmPlan> plans = new LinkedHashMap<>();
  private final Map<Kind, Boolean> right = new ConcurrentHashMap<>();

  private record Key(SlstmShape shape, ElementType type) {}

  /// The key of the kernel's code.
  private record Kind(int heads, int headDim, ElementType type) {}

  private CudaCells(int ordinal, CudaContext context) {
    this.ordinal = ordinal;
    this.context = context;
    current = new CurrentStream();
    kernels = SlstmKernels.load(context);
  }

  /// Returns the kernels for the gates `wx` `(B, S, 4, NH, DH)`; null if it is on no GPU, or if the
  /// GPU or the kernels cannot compute it, which is logged once.
  static @Nullable CudaCells forTensor(Tensor wx) {
    @Nullable ElementType type = wx.is_cuda() ? type(wx) : null;
    if (type == null || wx.dim() != 5 || wx.numel() == 0) {
      return null;
    }
    int device = wx.device().index();
    Optional<String> reason = whyNot(wx.size(0), wx.size(1), wx.size(3), wx.size(4));
    if (reason.isPresent()) {
      warn(device, reason.get());
      return null;
    }
    @Nullable CudaCells cells = of(device);
    return cells != null && cells.isRight((int) wx.size(3), (int) wx.size(4), type) ? cells : null;
  }

  /// Returns why the kernels cannot compute a cell of these sizes; empty if they can.
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
      Cuda.Devices found = Cuda.devices();
      if (device >= found.devices().size()) {
        throw new IllegalStateException(
            found.reason() == null ? "the driver has no such device" : found.reason());
      }
      return Optional.of(new CudaCells(device, Cuda.open(found.devices().get(device))));
    } catch (CudaException | IllegalStateException e) {
      warn(device, e.getMessage());
      return Optional.empty();
    }
  }

  /// Logs each reason once.
  private static void warn(int device, @Nullable String reason) {
    String line =
        "cuda:%d: the sLSTM cell runs step by step on libtorch's operations: %s"
            .formatted(device, reason);
    if (WARNED.add(line)) {
      LOG.log(Level.WARNING, line);
    }
  }

  /// Compares without a lock: the backward pass of the comparison runs on a thread of libtorch's,
  /// which takes this object's lock. Two threads may both compare.
  private boolean isRight(int heads, int headDim, ElementType type) {
    var kind = new Kind(heads, headDim, type);
    @Nullable Boolean known = right.get(kind);
    if (known == null) {
      known = check(kind);
      right.put(kind, known);
    }
    return known;
  }

  private boolean check(Kind kind) {
    try {
      Optional<String> fault = CudaCellCheck.fault(this, kind.heads, kind.headDim, kind.type);
      fault.ifPresent(reason -> warn(ordinal, reason));
      return fault.isEmpty();
    } catch (CudaException e) {
      warn(ordinal, e.getMessage());
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

  /// Returns a plan for sizes. The caller holds this object's lock, also while the plan works.
  SlstmPlan plan(SlstmShape shape, ElementType type) {
    var key = new Key(shape, type);
    @Nullable SlstmPlan known = plans.remove(key);
    SlstmPlan plan = known == null ? kernels.plan(shape, type) : known;
    plans.putLast(key, plan);
    if (plans.size() > MOST_PLANS) {
      plans.pollFirstEntry();
    }
    return plan;
  }

  /// A new handle of the device; owned by the caller's scope.
  Device device() {
    return new Device("cuda:" + ordinal);
  }

  /// The calling thread's current stream of libtorch.
  CudaStream stream() {
    return context.stream(current.address(ordinal));
  }
}
