package io.xlstm4j.torch;

import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.GradMode;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.TensorTensorHook;
import org.bytedeco.pytorch.VoidTensorHook;
import org.jspecify.annotations.Nullable;

/// An operation whose backward pass we wrote: what the presets have no custom functions for, made
/// of hooks.
///
/// Each input gets an alias whose hook hands out our gradient; the sum of no elements of each
/// alias, which is zero, ties it to the output; the output's hook computes all gradients at once.
/// Memory that the backward pass reads is tied to the graph the same way, so it lives exactly as
/// long as the graph does, whatever scopes close before. What is kept on the Java side is a few
/// small objects, let go after the backward pass. One backward pass for each forward pass.
final class HandWrittenBackward {
  /// Calls that never saw a backward pass are forgotten from here on.
  private static final int MOST_LIVE = 1 << 16;

  /// The hooks that a graph may still call; nothing native owns them.
  private static final Set<Call> LIVE = Collections.synchronizedSet(new LinkedHashSet<>());

  private HandWrittenBackward() {}

  /// Computes the gradients of the inputs.
  @FunctionalInterface
  interface Backward {
    /// @param gradient of the output, contiguous
    /// @return one gradient for each input, of its shape, in order
    Tensor[] apply(Tensor gradient);
  }

  /// Ties a computed output to its inputs.
  ///
  /// @param inputs contiguous
  /// @param output fresh and without a graph; float32, not empty; changed in place and returned
  /// @param kept memory that `backward` reads by address; stays as long as the graph
  /// @param backward may hold addresses of `inputs`, `output` and `kept`, but no tensors
  static Tensor tie(List<Tensor> inputs, Tensor output, List<Tensor> kept, Backward backward) {
    if (!isNeeded(inputs)) {
      return output;
    }
    Call call = new Call(backward, inputs);
    @Nullable Tensor ties = null;
    @Nullable Tensor none = null; // no elements of an input that wants a gradient
    for (int i = 0; i < inputs.size(); i++) {
      if (inputs.get(i).requires_grad()) {
        Tensor alias = inputs.get(i).view(-1);
        alias.register_hook(call.inputHook(i));
        none = alias.narrow(0, 0, 0);
        ties = ties == null ? none.sum() : ties.add(none.sum());
      }
    }
    if (ties == null || none == null) {
      throw new AssertionError("some input wants a gradient");
    }
    for (Tensor input : inputs) {
      ties = ties.add(holding(none, input));
    }
    for (Tensor memory : kept) {
      ties = ties.add(holding(none, memory));
    }
    ties = ties.add(holding(none, output));
    Tensor tied = output.add_(ties); // + 0
    tied.register_hook(call.outputHook());
    return tied;
  }

  /// Whether a graph is being built at all.
  static boolean isNeeded(List<Tensor> inputs) {
    return GradMode.is_enabled() && inputs.stream().anyMatch(Tensor::requires_grad);
  }

  /// Zero, by a node of the graph that holds `memory`: a product of no elements saves its factors.
  private static Tensor holding(Tensor none, Tensor memory) {
    return none.mul(new Tensor(memory.variable_data()).view(-1).narrow(0, 0, 0)).sum();
  }

  /// One forward pass and the hooks of its backward pass.
  private static final class Call {
    private final Backward backward;
    private final long[][] shapes;
    private final VoidTensorHook onOutput;
    private final @Nullable TensorTensorHook[] onInputs;
    private Tensor[] gradients = {};
    private int handedOut;
    private boolean spent;

    Call(Backward backward, List<Tensor> inputs) {
      this.backward = backward;
      shapes = inputs.stream().map(Ops::shape).toArray(long[][]::new);
      onInputs = new TensorTensorHook[inputs.size()];
      onOutput =
          new VoidTensorHook() {
            @Override
            public void call(TensorBase gradient) {
              compute(gradient);
            }
          };
      onOutput.retainReference(); // a scope must not free it; the collector does, after LIVE
    }

    VoidTensorHook outputHook() {
      LIVE.add(this);
      if (LIVE.size() > MOST_LIVE) {
        synchronized (LIVE) {
          LIVE.remove(LIVE.iterator().next());
        }
      }
      return onOutput;
    }

    TensorTensorHook inputHook(int index) {
      TensorTensorHook hook =
          new TensorTensorHook() {
            @Override
            public TensorBase call(TensorBase zeros) {
              return handOut(index);
            }
          };
      hook.retainReference();
      onInputs[index] = hook;
      return hook;
    }

    private void compute(TensorBase gradient) {
      if (spent) {
        throw new IllegalStateException(
            "the fused cells allow one backward pass for each forward pass; run forward again");
      }
      spent = true;
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        gradients = backward.apply(new Tensor(gradient).contiguous());
        for (int i = 0; i < gradients.length; i++) {
          Ops.expectShape("gradient of input " + i, gradients[i], "of the input", shapes[i]);
          gradients[i] = Scopes.keep(gradients[i].view(-1));
        }
      }
    }

    /// libtorch copies the handle as soon as the hook returns, so what the hook before gave can go.
    private Tensor handOut(int index) {
      Returned.release();
      Tensor gradient = gradients[index];
      Returned.set(gradient);
      handedOut++;
      int all = 0;
      for (TensorTensorHook hook : onInputs) {
        all += hook == null ? 0 : 1;
      }
      if (handedOut == all) {
        LIVE.remove(this);
        for (int i = 0; i < gradients.length; i++) {
          if (onInputs[i] == null) {
            Scopes.release(gradients[i]); // of an input that wanted none
          }
        }
        gradients = new Tensor[0];
      }
      return gradient;
    }
  }

  /// The gradient that this thread's last hook returned.
  private static final class Returned {
    private static final ThreadLocal<@Nullable Tensor[]> LAST =
        ThreadLocal.withInitial(() -> new @Nullable Tensor[1]);

    static void set(Tensor gradient) {
      LAST.get()[0] = gradient;
    }

    static void release() {
      @Nullable Tensor[] last = LAST.get();
      if (last[0] != null) {
        Scopes.release(last[0]);
        last[0] = null;
      }
    }
  }
}
