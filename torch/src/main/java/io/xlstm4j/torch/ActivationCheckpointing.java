package io.xlstm4j.torch;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;

/// One pass through a block that keeps only what entered it, and is computed again in the backward
/// pass with the same random numbers (Chen et al. 2016, arXiv:1604.06174).
///
/// Holds no tensors, only where they are: the graph keeps them.
final class ActivationCheckpointing {
  private final Block block;
  private final Parameters store;
  private final ExecutionMode execution;
  private final ExecutionMode.Settings settings;
  private final @Nullable RandomState random; // before the block; null if nothing is drawn
  private final BlockState kind; // whose tensors are never read
  private final List<TensorAddress> entering; // x, then the state's parts
  private final boolean[] wanted; // whether they want a gradient
  private final @Nullable TensorAddress valid;
  private final @Nullable TensorAddress starts;

  private ActivationCheckpointing(
      Block block,
      Parameters store,
      ExecutionMode execution,
      List<Tensor> entering,
      BlockState kind,
      SequenceLayout layout) {
    this.block = block;
    this.store = store;
    this.execution = execution;
    this.kind = kind;
    settings = execution.settings();
    random = settings.training() ? RandomState.of(store.device()) : null;
    this.entering = entering.stream().map(TensorAddress::of).toList();
    wanted = new boolean[entering.size()];
    for (int i = 0; i < wanted.length; i++) {
      wanted[i] = isWanted(entering.get(i));
    }
    valid = layout.valid() == null ? null : TensorAddress.of(layout.valid());
    starts = layout.starts() == null ? null : TensorAddress.of(layout.starts());
  }

  private static boolean isWanted(Tensor x) {
    return x.requires_grad() && x.numel() > 0;
  }

  /// Returns the result of `block.forward`, connected to its input in the graph.
  ///
  /// @param store of the block's parameters
  static Block.Output forward(
      Block block,
      Parameters store,
      ExecutionMode execution,
      Tensor x,
      BlockState last,
      SequenceLayout layout) {
    return Scopes.scoped(() -> {
      List<Tensor> entering = new ArrayList<>();
      entering.add(x.contiguous());
      last.tensors().forEach(part -> entering.add(part.contiguous()));
      TensorSegments.Masks masks = TensorSegments.Masks.of(layout);
      var contiguous = new SequenceLayout(masks.valid(), masks.starts());
      var call = new ActivationCheckpointing(block, store, execution, entering, last, contiguous);
      Block.Output output = plain(block, entering, last, contiguous);
      var kept = new ArrayList<>(masks.tensors());
      var inputs = new ArrayList<Tensor>();
      for (Tensor tensor : entering) {
        (isWanted(tensor) ? inputs : kept).add(tensor);
      }
      List<Tensor> outputs = output.tensors();
      HandWrittenBackward.tieWithParameters(inputs, outputs, kept, call::backward);
      return output;
    });
  }

  /// The outputs without a graph, in memory of their own, so that they can be tied.
  private static Block.Output plain(
      Block block, List<Tensor> entering, BlockState last, SequenceLayout layout) {
    try (var _ = new NoGradGuard()) {
      return Scopes.scoped(() -> {
        Block.Output output = run(block, entering, last, layout);
        List<Tensor> parts = output.state().tensors().stream().map(Tensor::clone).toList();
        return new Block.Output(output.x(), output.state().with(parts));
      });
    }
  }

  private static Block.Output run(
      Block block, List<Tensor> entering, BlockState kind, SequenceLayout layout) {
    BlockState last = kind.with(entering.subList(1, entering.size()));
    return block.forward(entering.getFirst(), last, layout);
  }

  /// Computes the block again, and its gradients: those of parameters are added to what they have
  /// gathered, those of what entered are returned.
  private Tensor[] backward(@Nullable Tensor[] gradients) {
    store.checkOpen();
    ExecutionMode.Settings now = execution.settings();
    if (!now.equals(settings)) {
      throw new IllegalStateException(
          "a block cannot be recomputed: the model ran with %s forward, but has %s backward"
              .formatted(settings, now));
    }
    try (var _ = new AutoGradMode(true)) {
      var leaves = new ArrayList<Tensor>();
      for (int i = 0; i < wanted.length; i++) {
        Tensor leaf = entering.get(i).tensor(store.device());
        leaves.add(wanted[i] ? new Tensor(leaf.set_requires_grad(true)) : leaf);
      }
      var layout = new SequenceLayout(mask(valid), mask(starts));
      Block.Output again =
          RandomState.with(
              random, store.device(), () -> Scopes.scoped(() -> run(block, leaves, kind, layout)));
      propagate(again.tensors(), gradients);
      var wantedGradients = new ArrayList<Tensor>();
      for (int i = 0; i < wanted.length; i++) {
        if (wanted[i]) {
          Tensor gradient = leaves.get(i).grad();
          wantedGradients.add(
              gradient.defined()
                  ? gradient.contiguous()
                  : Ops.zerosLike(leaves.get(i), Ops.shape(leaves.get(i))));
        }
      }
      return wantedGradients.toArray(Tensor[]::new);
    }
  }

  private @Nullable Tensor mask(@Nullable TensorAddress place) {
    return place == null ? null : place.tensor(store.device());
  }

  /// A backward pass within the backward pass.
  private static void propagate(List<Tensor> outputs, @Nullable Tensor[] gradients) {
    var roots = new ArrayList<Tensor>();
    var upstream = new ArrayList<Tensor>();
    for (int i = 0; i < gradients.length; i++) {
      Tensor gradient = gradients[i];
      if (gradient != null && outputs.get(i).requires_grad()) { // a detached stabilizer does not
        roots.add(outputs.get(i));
        upstream.add(gradient);
      }
    }
    if (!roots.isEmpty()) {
      torch.backward(
          vector(roots), vector(upstream), new BoolOptional(false), false, new TensorVector());
    }
  }

  private static TensorVector vector(List<Tensor> tensors) {
    return new TensorVector(tensors.toArray(Tensor[]::new));
  }
}
