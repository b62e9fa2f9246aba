package io.xlstm4j.train.parallel;

import io.xlstm4j.torch.Parameters;
import io.xlstm4j.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.VoidTensorHook;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// Sums gradients in buckets, while the backward pass still computes others.
///
/// The first step shows which gradients come from our own backward passes, once each: those are
/// final when they come, and go into the first buckets, in the reverse order of the model. All
/// others wait for the end of the backward pass. Buckets are sent in order, so all ranks agree.
final class BucketReducer implements GradientReducer {
  /// A few messages for a small model, many for a large one.
  static final long BUCKET_BYTES = 4 << 20;

  private final Parameters parameters;
  private final Collectives collectives;
  private final CoordinatorConnection line;
  private final List<Slot> slots = new ArrayList<>();
  private final IdentityHashMap<Tensor, Slot> byTensor = new IdentityHashMap<>();
  private List<Bucket> buckets = List.of();
  private boolean learned;
  private boolean armed;
  private int sent;
  private int sentEarly;

  /// A parameter on the way to its bucket.
  private static final class Slot {
    final String name;
    final Tensor parameter;
    int reported; // in this backward pass, by our own operations
    boolean byAutograd; // ever
    boolean early;
    @Nullable VoidTensorHook hook; // which nothing native owns
    int hookNumber;
    @Nullable Bucket bucket;

    Slot(String name, Tensor parameter) {
      this.name = name;
      this.parameter = parameter;
    }
  }

  BucketReducer(Parameters parameters, Collectives collectives, CoordinatorConnection line) {
    this.parameters = parameters;
    this.collectives = collectives;
    this.line = line;
    for (Map.Entry<String, Tensor> entry : parameters.byName().entrySet()) {
      var slot = new Slot(entry.getKey(), entry.getValue());
      slots.addFirst(slot);
      byTensor.put(entry.getValue(), slot);
      if (slot.parameter.requires_grad()) {
        listen(slot);
      }
    }
    parameters.gradientListener(this::gradientReady);
  }

  private void listen(Slot slot) {
    var hook =
        new VoidTensorHook() {
          @Override
          public void call(TensorBase gradient) {
            slot.byAutograd = true;
            checkNotSent(slot);
          }
        };
    hook.retainReference();
    slot.hook = hook;
    slot.hookNumber = slot.parameter.register_hook(hook);
  }

  @Override
  public void begin() {
    armed = true;
    slots.forEach(slot -> slot.reported = 0);
  }

  /// A gradient has come from a backward pass of ours.
  private void gradientReady(Tensor parameter) {
    @Nullable Slot slot = byTensor.get(parameter);
    if (!armed || slot == null) {
      return;
    }
    slot.reported++;
    checkNotSent(slot);
    if (slot.early) {
      sendReady();
    }
  }

  private void checkNotSent(Slot slot) {
    if (armed && slot.bucket != null && slot.bucket.isSent()) {
      throw new IllegalStateException(
          "the gradient of %s changed after it was sent; call begin() before backward passes of the same kind only"
              .formatted(slot.name));
    }
  }

  private void sendReady() {
    while (sent < buckets.size() && buckets.get(sent).isReady()) {
      buckets.get(sent).send(collectives);
      sent++;
      sentEarly++;
    }
  }

  @Override
  public void finish() {
    boolean watched = armed;
    armed = false;
    line.arrive();
    if (buckets.isEmpty() || (watched && !learned)) {
      fill(watched);
    }
    while (sent < buckets.size()) {
      buckets.get(sent).send(collectives);
      sent++;
    }
    buckets.forEach(Bucket::receive);
    sent = 0;
  }

  /// Returns the number of buckets sent before the end of a backward pass.
  int sentEarly() {
    return sentEarly;
  }

  /// Puts parameters into buckets.
  private void fill(boolean watched) {
    learned = watched;
    buckets.forEach(Bucket::close);
    slots.forEach(slot -> slot.early = watched && slot.reported == 1 && !slot.byAutograd);
    buckets = new ArrayList<>();
    fill(slots.stream().filter(slot -> slot.early).toList());
    fill(slots.stream().filter(slot -> !slot.early).toList());
  }

  private void fill(List<Slot> part) {
    var byType = new EnumMap<ScalarType, List<Slot>>(ScalarType.class);
    for (Slot slot : part) {
      List<Slot> open = byType.computeIfAbsent(type(slot), _ -> new ArrayList<>());
      if (bytes(open) + bytes(List.of(slot)) > BUCKET_BYTES && !open.isEmpty()) {
        buckets.add(new Bucket(List.copyOf(open)));
        open.clear();
      }
      open.add(slot);
    }
    slots.stream() // the order of slots and not of the map, the same on all ranks
        .map(slot -> byType.remove(type(slot)))
        .filter(open -> open != null && !open.isEmpty())
        .forEach(open -> buckets.add(new Bucket(List.copyOf(open))));
  }

  private static ScalarType type(Slot slot) {
    return slot.parameter.scalar_type().intern(); // the presets make a new constant each time
  }

  private static long bytes(List<Slot> slots) {
    return slots.stream().mapToLong(s -> s.parameter.numel() * s.parameter.element_size()).sum();
  }

  @Override
  public void close() {
    parameters.gradientListener(null);
    for (Slot slot : slots) {
      if (slot.hook != null) {
        slot.parameter.remove_hook(slot.hookNumber);
        slot.hook = null;
      }
    }
    buckets.forEach(Bucket::close);
    buckets = List.of();
  }

  /// Gradients that travel together, in one piece of memory: each in its slice, and for each a one
  /// if it is there.
  private static final class Bucket {
    private final List<Slot> slots;
    private final Tensor flat;
    private final Tensor present;
    private final List<Tensor> slices = new ArrayList<>();
    private Collectives.@Nullable Sum sum;

    Bucket(List<Slot> slots) {
      this.slots = slots;
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        long numbers = slots.stream().mapToLong(slot -> slot.parameter.numel()).sum();
        Tensor first = slots.getFirst().parameter;
        flat = first.new_zeros(numbers + slots.size());
        flat.retainReference();
        present = flat.narrow(0, numbers, slots.size());
        present.retainReference();
        long from = 0;
        for (Slot slot : slots) {
          Tensor parameter = slot.parameter;
          slot.bucket = this;
          Tensor slice = flat.narrow(0, from, parameter.numel()).view_as(parameter);
          slice.retainReference();
          slices.add(slice);
          from += parameter.numel();
        }
      }
    }

    boolean isSent() {
      return sum != null;
    }

    boolean isReady() {
      return slots.stream().allMatch(slot -> slot.early && slot.reported == 1);
    }

    void send(Collectives collectives) {
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        float[] there = new float[slots.size()];
        Arrays.fill(there, 1);
        for (int i = 0; i < there.length; i++) {
          Tensor gradient = slots.get(i).parameter.grad();
          if (gradient.defined()) {
            slices.get(i).copy_(gradient);
          } else {
            slices.get(i).zero_();
            there[i] = 0;
          }
        }
        present.copy_(Tensors.of(there, there.length));
        sum = collectives.sum(flat);
      }
    }

    void receive() {
      if (sum == null) {
        throw new AssertionError("every bucket was sent");
      }
      sum.await();
      sum = null;
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        float[] there = Tensors.floats(present);
        for (int i = 0; i < there.length; i++) {
          if (there[i] != 0) {
            slots.get(i).parameter.mutable_grad().put(slices.get(i));
          }
        }
      }
    }

    void close() {
      slices.forEach(Tensor::releaseReference);
      present.releaseReference();
      flat.releaseReference();
    }
  }
}
