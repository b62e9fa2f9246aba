package io.xlstm4j.torch;

import java.util.List;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// Ownership of tensors: every tensor belongs to the innermost [PointerScope] of its thread and is
/// freed when that closes; these helpers move or keep the few that must live longer. See
/// `docs/memory.md`.
public final class Scopes {
  private Scopes() {}

  /// A value made of tensors, such as an output with its state.
  public interface Tensors {
    List<Tensor> tensors();
  }

  /// Owns a value across scopes, such as the state that goes from one step to the next.
  public static final class Holder<T extends Tensors> implements AutoCloseable {
    private T value;

    public Holder(T value) {
      this.value = value;
      value.tensors().forEach(Scopes::keep);
    }

    public T get() {
      return value;
    }

    /// Takes over a new value and lets go of the old one.
    public void set(T next) {
      next.tensors().forEach(Scopes::keep);
      value.tensors().forEach(Scopes::release);
      value = next;
    }

    /// Lets go. To be called once.
    @Override
    public void close() {
      value.tensors().forEach(Scopes::release);
    }
  }

  /// Runs `body`, frees every handle it made, and gives the result to the caller's scope. Autograd
  /// keeps its own references, so a graph built inside stays whole.
  public static <T extends Tensors> T scoped(Supplier<T> body) {
    PointerScope caller = callerScope();
    try (var _ = new PointerScope()) {
      T result = body.get();
      result.tensors().forEach(caller::attach); // two owners; the inner one lets go on close
      return result;
    }
  }

  /// The same for one tensor.
  public static Tensor scopedTensor(Supplier<Tensor> body) {
    PointerScope caller = callerScope();
    try (var _ = new PointerScope()) {
      Tensor result = body.get();
      caller.attach(result);
      return result;
    }
  }

  /// Makes the caller the owner; it must give the tensor to [#release] some day.
  static Tensor keep(Tensor tensor) {
    tensor.retainReference(); // first: a scope's detach alone would free it
    return tensor;
  }

  /// Ends what [#keep] began.
  static void release(Tensor tensor) {
    tensor.releaseReference();
  }

  /// The innermost scope of this thread.
  ///
  /// @throws IllegalStateException if there is none
  static PointerScope callerScope() {
    @Nullable PointerScope caller = PointerScope.getInnerScope();
    if (caller == null) {
      throw new IllegalStateException("open a PointerScope on this thread before this call");
    }
    return caller;
  }
}
