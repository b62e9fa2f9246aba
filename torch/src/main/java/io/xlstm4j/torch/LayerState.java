package io.xlstm4j.torch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The state of a layer of the README: its parts as tensors of their own, or one memory that holds
/// them one after the other, as [FusedLayer] has it. Either becomes the other when asked for.
///
/// The memory of a recorded step joins the graph only when somebody looks at it: a chain of steps
/// needs no graph of its own.
final class LayerState implements Scopes.Tensors {
  private final List<Tensor> owned;
  private final @Nullable List<Tensor> parts;
  private final List<long[]> shapes; // of the parts in the memory
  private final @Nullable Recorded recorded;

  private LayerState(
      List<Tensor> owned,
      @Nullable List<Tensor> parts,
      List<long[]> shapes,
      @Nullable Recorded recorded) {
    this.owned = owned;
    this.parts = parts;
    this.shapes = shapes;
    this.recorded = recorded;
  }

  /// The step after which the memory is the state.
  ///
  /// @param zero a handle of [HandWrittenBackward.Open#zero], so that the state can join the graph
  ///   when the chain has gone on
  record Recorded(RecordedSteps steps, int step, Tensor zero) {}

  static LayerState ofParts(Tensor... parts) {
    List<Tensor> all = List.of(parts);
    return new LayerState(all, all, List.of(), null);
  }

  static LayerState ofMemory(Tensor memory, List<long[]> shapes) {
    return new LayerState(List.of(memory), null, shapes, null);
  }

  static LayerState ofStep(Tensor memory, List<long[]> shapes, Recorded recorded) {
    return new LayerState(List.of(memory, recorded.zero), null, shapes, recorded);
  }

  /// The step this is the state after, if it was recorded.
  @Nullable Recorded recorded() {
    return recorded;
  }

  /// Shapes of the parts, if they are in one memory.
  List<long[]> shapes() {
    return shapes;
  }

  /// The parts, each of its shape.
  List<Tensor> parts() {
    if (parts != null) {
      return parts;
    }
    Tensor memory = memory();
    var views = new ArrayList<Tensor>();
    long from = 0;
    for (long[] shape : shapes) {
      long count = Arrays.stream(shape).reduce(1, (a, b) -> a * b);
      views.add(memory.narrow(0, from, count).view(shape));
      from += count;
    }
    return views;
  }

  /// All parts in one, float32 and contiguous, in the graph if there is one.
  ///
  /// @param names of the parts
  /// @param expected shapes of the parts
  /// @throws IllegalArgumentException if a shape is not as expected
  Tensor memory(List<String> names, List<long[]> expected) {
    if (parts == null) {
      for (int i = 0; i < shapes.size(); i++) {
        if (!Arrays.equals(shapes.get(i), expected.get(i))) {
          throw new IllegalArgumentException(
              "state %s must have shape %s, but has %s"
                  .formatted(
                      names.get(i),
                      Arrays.toString(expected.get(i)),
                      Arrays.toString(shapes.get(i))));
        }
      }
      return memory();
    }
    var flat = new Tensor[parts.size()];
    for (int i = 0; i < flat.length; i++) {
      Ops.expectShape("state " + names.get(i), parts.get(i), "of the batch", expected.get(i));
      flat[i] = parts.get(i).reshape(-1);
    }
    return Ops.concat(0, flat);
  }

  private Tensor memory() {
    Tensor memory = data();
    if (recorded != null) {
      recorded.steps.tie(memory, recorded);
    }
    return memory;
  }

  /// The memory of a recorded step, to be read only.
  Tensor data() {
    return owned.getFirst();
  }

  /// The same numbers, without the graph.
  LayerState detached() {
    return parts == null
        ? ofMemory(data().detach(), shapes)
        : ofParts(parts.stream().map(Tensor::detach).toArray(Tensor[]::new));
  }

  @Override
  public List<Tensor> tensors() {
    return owned;
  }
}
