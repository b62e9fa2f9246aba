package io.xlstm4j.torch;

import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The forward and backward pass of a language model over a micro-batch, which adds to the
/// gradients of its parameters.
///
/// On a GPU a pass is some thousand launches, and small models wait for them. So a pass whose kind
/// repeats is recorded once as a CUDA graph and then launched as one; numbers are the same. What is
/// not recorded, and why, says [#whyNotRecorded].
///
/// For use by one thread at a time. Owns the recorded graphs, not the model.
public final class TrainingPass implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(TrainingPass.class.getPackageName());

  /// Passes of a kind before it is recorded: libraries are loaded and kernels compared in them.
  private static final int PASSES_BEFORE = 2;

  /// Each recorded kind has gradients of its own.
  private static final int MOST_KINDS = 2;

  private final XlstmLanguageModel model;
  private final Map<Kind, Integer> seen = new LinkedHashMap<>();
  private final Map<Kind, Recording> recordings = new LinkedHashMap<>();
  private boolean refused;

  public TrainingPass(XlstmLanguageModel model) {
    this.model = model;
  }

  /// What decides the work of a pass.
  private record Kind(
      long batch,
      long length,
      boolean fresh,
      boolean valid,
      boolean starts,
      ExecutionMode.Settings settings) {}

  /// @param loss times the factor
  /// @param state after the last token, owned by the caller's scope; null if it was not wanted
  /// @param forwardNanos time of the forward pass; 0 for a recorded pass, which is one
  /// @param backwardNanos time of the rest
  public record Result(
      double loss, BlockStack.@Nullable State state, long forwardNanos, long backwardNanos) {}

  /// Adds the gradients of a loss times a factor.
  ///
  /// @param ids `(B, S)` int64
  /// @param targets `(B, S)` int64, [Losses#IGNORED] where nothing is to be predicted
  /// @param last the state before the first token; null for fresh sequences
  /// @param factor of the loss summed over all predictions
  /// @param carries whether the state after the last token is wanted
  public Result run(
      Tensor ids,
      Tensor targets,
      BlockStack.@Nullable State last,
      SequenceLayout layout,
      double factor,
      boolean carries) {
    var kind =
        new Kind(
            ids.size(0),
            ids.size(1),
            last == null,
            layout.valid() != null,
            layout.starts() != null,
            model.settings());
    @Nullable Recording recording = recording(kind, ids, targets, last, layout);
    return recording == null
        ? eager(ids, targets, last, layout, factor, carries)
        : recording.run(ids, targets, last, layout, factor, carries);
  }

  /// Returns why passes are not recorded; null if they are.
  @Nullable String whyNotRecorded() {
    if (!model.parameters().device().is_cuda()) {
      return "the model is not on a GPU";
    }
    if (model.settings().backend() != Backend.FUSED) {
      return "backend libtorch runs each operation by itself";
    }
    if (model.drawsRandomNumbers()) {
      return "dropout draws other random numbers each time";
    }
    if (model.recomputes()) {
      return "activation checkpointing runs a forward pass within a backward pass";
    }
    return model.parameters().hasGradientListener() ? "gradients are exchanged as they come" : null;
  }

  private @Nullable Recording recording(
      Kind kind,
      Tensor ids,
      Tensor targets,
      BlockStack.@Nullable State last,
      SequenceLayout layout) {
    if (refused || whyNotRecorded() != null) {
      return null;
    }
    @Nullable Recording known = recordings.get(kind);
    if (known != null) {
      return known.canRun() ? known : null;
    }
    int before = seen.merge(kind, 1, Integer::sum) - 1;
    if (before < PASSES_BEFORE || recordings.size() >= MOST_KINDS || hasGradients()) {
      return null;
    }
    try {
      var made = new Recording(ids, targets, last, layout);
      recordings.put(kind, made);
      return made;
    } catch (IllegalStateException e) {
      refuse(e);
      return null;
    }
  }

  private void refuse(IllegalStateException e) {
    refused = true;
    String reason = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    LOG.log(Level.WARNING, "training steps are not recorded as CUDA graphs: " + reason);
  }

  /// Returns how many kinds of passes are recorded.
  int recorded() {
    return recordings.size();
  }

  private boolean hasGradients() {
    return model.parameters().byName().values().stream().anyMatch(p -> p.grad().defined());
  }

  private Result eager(
      Tensor ids,
      Tensor targets,
      BlockStack.@Nullable State last,
      SequenceLayout layout,
      double factor,
      boolean carries) {
    long began = System.nanoTime();
    @Nullable PointerScope caller = carries ? Scopes.callerScope() : null;
    try (var _ = new PointerScope()) { // a graph that outlives its pass cannot be recorded again
      BlockStack.State entering = last == null ? model.initialState(ids.size(0)) : last;
      XlstmLanguageModel.Loss loss = model.lossSum(ids, targets, entering, layout);
      Tensor share = loss.value().mul(new Scalar(factor));
      long forward = System.nanoTime();
      share.backward();
      double value = share.item_double();
      BlockStack.@Nullable State next = null;
      if (caller != null) {
        next = loss.state().detached();
        next.tensors().forEach(caller::attach);
      }
      return new Result(value, next, forward - began, System.nanoTime() - forward);
    }
  }

  /// The graphs of a kind of pass, with the tensors that they read and write.
  private final class Recording implements AutoCloseable {
    private final List<Tensor> kept = new ArrayList<>();
    private final Tensor ids;
    private final Tensor targets;
    private final BlockStack.@Nullable State last;
    private final SequenceLayout layout;
    private final Tensor factor;
    private final List<Tensor> parameters = new ArrayList<>();
    private final List<Tensor> gradients = new ArrayList<>();
    private final Pass first;
    private @Nullable Pass more; // adds to gradients; made when a step has several micro-batches

    /// @param loss times the factor
    /// @param next the state after the last token
    private record Pass(LibtorchGraph graph, Tensor loss, BlockStack.State next) {}

    Recording(Tensor ids, Tensor targets, BlockStack.@Nullable State last, SequenceLayout layout) {
      var device = model.parameters().device();
      try (var _ = new PointerScope()) {
        this.ids = own(ids.to(device, ScalarType.Long));
        this.targets = own(targets.to(device, ScalarType.Long));
        this.last = last == null ? null : own(last);
        SequenceLayout there = layout.on(device);
        this.layout =
            new SequenceLayout(
                there.valid() == null ? null : own(there.valid()),
                there.starts() == null ? null : own(there.starts()));
        factor = own(Ops.zerosLike(Ops.zerosOf(model.parameters(), 1)));
        first = record();
      } catch (RuntimeException e) {
        model.parameters().zeroGradients();
        kept.forEach(Scopes::release);
        throw e;
      }
      for (Tensor parameter : model.parameters().byName().values()) {
        if (parameter.grad().defined()) {
          parameters.add(parameter);
          gradients.add(keep(new Tensor(parameter.grad()))); // grad() is a view of the field
        }
      }
      model.parameters().zeroGradients(); // recorded, not computed
    }

    private Pass record() {
      var outputs = new ArrayList<XlstmLanguageModel.Loss>();
      @Nullable LibtorchGraph sharing =
          recordings.values().stream().findFirst().map(any -> any.first.graph).orElse(null);
      LibtorchGraph graph =
          LibtorchGraph.record(
              gpu(),
              sharing,
              () -> {
                BlockStack.State entering = last == null ? model.initialState(ids.size(0)) : last;
                XlstmLanguageModel.Loss loss = model.lossSum(ids, targets, entering, layout);
                Tensor share = loss.value().mul(factor);
                share.backward();
                var made = new XlstmLanguageModel.Loss(share.detach(), loss.state().detached());
                made.tensors().forEach(this::keep);
                outputs.add(made);
              });
      return new Pass(graph, outputs.getFirst().value(), outputs.getFirst().state());
    }

    private CudaGpu gpu() {
      return CudaGpu.open(ids.device().index());
    }

    /// Nobody has gathered gradients yet, or it was this recording.
    boolean canRun() {
      Tensor gathered = parameters.getFirst().grad();
      return gathered.defined()
          ? TensorSegments.address(gathered) == TensorSegments.address(gradients.getFirst())
          : !hasGradients();
    }

    Result run(
        Tensor newIds,
        Tensor newTargets,
        BlockStack.@Nullable State newLast,
        SequenceLayout newLayout,
        double newFactor,
        boolean carries) {
      long began = System.nanoTime();
      Pass pass = first;
      boolean adds = parameters.getFirst().grad().defined();
      if (adds && more == null) {
        more = record();
      }
      if (adds && more != null) {
        pass = more;
      }
      ids.copy_(newIds);
      targets.copy_(newTargets);
      if (last != null && newLast != null) {
        copy(last.tensors(), newLast.tensors());
      }
      if (layout.valid() != null) {
        layout.valid().copy_(Ops.present(newLayout.valid()));
      }
      if (layout.starts() != null) {
        layout.starts().copy_(Ops.present(newLayout.starts()));
      }
      factor.fill_(new Scalar(newFactor));
      pass.graph.replay();
      if (!adds) {
        for (int i = 0; i < parameters.size(); i++) {
          parameters.get(i).mutable_grad().put(gradients.get(i));
        }
      }
      double loss = pass.loss.item_double();
      return new Result(loss, carries ? copied(pass.next) : null, 0, System.nanoTime() - began);
    }

    private static void copy(List<Tensor> to, List<Tensor> from) {
      for (int i = 0; i < to.size(); i++) {
        to.get(i).copy_(from.get(i));
      }
    }

    private static BlockStack.State copied(BlockStack.State state) {
      return new BlockStack.State(
          state.blocks().stream()
              .map(block -> block.with(block.tensors().stream().map(Tensor::clone).toList()))
              .toList());
    }

    private BlockStack.State own(BlockStack.State state) {
      BlockStack.State copy = copied(state);
      copy.tensors().forEach(this::keep);
      return copy;
    }

    private Tensor own(Tensor x) {
      return keep(x.clone());
    }

    private Tensor keep(Tensor x) {
      kept.add(Scopes.keep(x));
      return x;
    }

    @Override
    public void close() {
      kept.forEach(Scopes::release);
      if (more != null) {
        more.graph.close();
      }
      first.graph.close();
    }
  }

  /// Frees the recorded graphs and forgets all gradients, which may lie in them.
  @Override
  public void close() {
    if (!recordings.isEmpty()) {
      model.parameters().zeroGradients();
      recordings.values().iterator().next().gpu().context().synchronize();
      recordings.values().forEach(Recording::close);
      recordings.clear();
    }
  }
}
