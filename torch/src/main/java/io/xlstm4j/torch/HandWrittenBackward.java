package io.xlstm4j.torch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
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
/// ```
/// inputs ─► aliases ─► zero ─► outputs      (forward)
/// inputs ◄─ aliases ◄─ zero ◄─ outputs      (backward)
///           hand out   compute  remember    (what the hooks do)
/// ```
///
/// Each input gets an alias whose hook hands out our gradient; the sum of no elements of all
/// aliases, a zero, is added to no element of every output, which costs nothing but makes it depend
/// on them. The outputs' hooks remember their gradients; the zero's hook, called when all have
/// come, computes those of the inputs. Memory that the backward pass reads is a factor of the zero
/// too, so it lives exactly as long as the graph does, whatever scopes close before. What is kept
/// on the Java side is a few small objects, let go after the backward pass. One backward pass for
/// each forward pass.
final class HandWrittenBackward {
  /// Calls without a backward pass are dropped from here on.
  private static final int MOST_LIVE = 1 << 16;

  /// The hooks that a graph may still call; nothing native owns them.
  private static final Set<Call> LIVE = Collections.synchronizedSet(new LinkedHashSet<>());

  private static final long[] NO_ELEMENTS = {0};
  private static final long[] ONE_APART = {1};
  private static final Tensor NO_INDEX = Scopes.keep(Tensors.of(new int[0], 0));

  private HandWrittenBackward() {}

  /// Computes the gradients of the inputs.
  @FunctionalInterface
  interface Backward {
    /// @param gradients of the outputs, contiguous, in order; null for an output that nothing
    ///   depends on
    /// @return one gradient for each input, of its shape, in order
    Tensor[] apply(@Nullable Tensor[] gradients);
  }

  /// Ties computed outputs to their inputs.
  ///
  /// @param inputs contiguous
  /// @param outputs fresh and without a graph; float32, not empty; changed in place
  /// @param kept memory that `backward` reads by address, outputs among it; stays as long as the
  ///   graph
  /// @param backward may hold addresses of `inputs` and `kept`, but no tensors
  static void tie(List<Tensor> inputs, List<Tensor> outputs, List<Tensor> kept, Backward backward) {
    if (isNeeded(inputs)) {
      tie(inputs, outputs, kept, backward, null);
    }
  }

  /// The same for one output.
  ///
  /// @return the output
  static Tensor tie(
      List<Tensor> inputs, Tensor output, List<Tensor> kept, Function<Tensor, Tensor[]> backward) {
    tie(inputs, List.of(output), kept, gradients -> backward.apply(Ops.present(gradients[0])));
    return output;
  }

  /// The same for an operation whose backward pass adds to the gradients of parameters by itself:
  /// there is a graph even if no input wants a gradient.
  static void tieWithParameters(
      List<Tensor> inputs, List<Tensor> outputs, List<Tensor> kept, Backward backward) {
    if (isOn()) {
      tie(inputs, outputs, kept, backward, leaf(outputs.getFirst()));
    }
  }

  private static void tie(
      List<Tensor> inputs,
      List<Tensor> outputs,
      List<Tensor> kept,
      Backward backward,
      @Nullable Tensor leaf) {
    Open open = open(inputs, kept, backward, leaf);
    outputs.forEach(open::add);
  }

  /// An operation whose outputs come one after the other. It belongs to a graph and to a thread, as
  /// tensors do.
  ///
  /// @param zero a number that all outputs depend on; the caller keeps it as long as outputs come
  record Open(Tensor zero, Call call) {
    /// Ties another output; changed in place.
    ///
    /// @return its number among the gradients that the backward pass is given
    int add(Tensor output) {
      dependOnZero(output);
      int number = call.outputs();
      output.register_hook(call.outputHook());
      return number;
    }

    /// Without a pass over the output, or over its gradient on the way back, where that is to be
    /// had.
    private void dependOnZero(Tensor output) {
      if (output.dim() == 0
          || !output.is_cpu()
          || output.scalar_type().intern() != zero.scalar_type().intern()) {
        output.add_(zero);
        return;
      }
      long[] noRows = Ops.shape(output);
      noRows[0] = 0;
      output.index_add_(0, NO_INDEX, zero.expand(noRows));
    }

    /// The same by another handle of the number.
    Open with(Tensor sameZero) {
      return new Open(sameZero, call);
    }

    /// Returns whether the backward pass has been: what is added now gets no gradient.
    boolean isSpent() {
      return call.spent;
    }
  }

  /// As [#tieWithParameters], outputs to follow, on a thread that builds graphs.
  static Open open(List<Tensor> inputs, List<Tensor> kept, Backward backward) {
    return open(inputs, kept, backward, leaf(inputs.getFirst()));
  }

  /// No elements that want a gradient, where `like` is: tensors of two devices do not multiply.
  private static Tensor leaf(Tensor like) {
    return new Tensor(Ops.zerosLike(like, 0).set_requires_grad(true));
  }

  private static Open open(
      List<Tensor> inputs, List<Tensor> kept, Backward backward, @Nullable Tensor leaf) {
    Call call = new Call(backward, inputs);
    @Nullable Tensor none = leaf; // no elements, but a graph; becomes the product of all
    for (int i = 0; i < inputs.size(); i++) {
      if (inputs.get(i).requires_grad()) {
        Tensor alias = inputs.get(i).view(-1);
        alias.register_hook(call.inputHook(i));
        Tensor noneOfIt = alias.narrow(0, 0, 0);
        none = none == null ? noneOfIt : none.mul(noneOfIt);
      }
    }
    if (none == null) {
      throw new AssertionError("something wants a gradient");
    }
    for (Tensor input : inputs) {
      none = holding(none, input);
    }
    for (Tensor memory : kept) {
      none = holding(none, memory);
    }
    Tensor zero = none.sum();
    zero.register_hook(call.computeHook());
    return new Open(zero, call);
  }

  /// Returns whether a graph is being built at all.
  static boolean isNeeded(List<Tensor> inputs) {
    return isOn() && inputs.stream().anyMatch(Tensor::requires_grad);
  }

  /// Returns whether graphs are built on this thread.
  static boolean isOn() {
    return GradMode.is_enabled();
  }

  /// No elements again, by a node of the graph that holds `memory`: a product saves its factors.
  private static Tensor holding(Tensor none, Tensor memory) {
    return none.mul(memory.variable_data().as_strided(NO_ELEMENTS, ONE_APART));
  }

  /// One forward pass and the hooks of its backward pass.
  static final class Call {
    private final Backward backward;
    private final long[][] shapes;
    private final VoidTensorHook onZero;
    private final List<VoidTensorHook> onOutputs = new ArrayList<>();
    private final @Nullable TensorTensorHook[] onInputs;
    private @Nullable Tensor[] outputGradients = {};
    private Tensor[] gradients = {};
    private int wanted;
    private int handedOut;
    private volatile boolean spent;

    Call(Backward backward, List<Tensor> inputs) {
      this.backward = backward;
      shapes = inputs.stream().map(Ops::shape).toArray(long[][]::new);
      onInputs = new TensorTensorHook[inputs.size()];
      onZero =
          new VoidTensorHook() {
            @Override
            public void call(TensorBase gradient) {
              compute();
            }
          };
      onZero.retainReference(); // a scope must not free it; the collector does, after LIVE
    }

    VoidTensorHook computeHook() {
      LIVE.add(this);
      if (LIVE.size() > MOST_LIVE) {
        synchronized (LIVE) {
          LIVE.remove(LIVE.iterator().next());
        }
      }
      return onZero;
    }

    int outputs() {
      return onOutputs.size();
    }

    VoidTensorHook outputHook() {
      int index = outputs();
      outputGradients = Arrays.copyOf(outputGradients, index + 1);
      var hook =
          new VoidTensorHook() {
            @Override
            public void call(TensorBase gradient) {
              outputGradients[index] = Scopes.keep(new Tensor(gradient).contiguous());
            }
          };
      hook.retainReference();
      onOutputs.add(hook);
      return hook;
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
      wanted++;
      return hook;
    }

    private void compute() {
      if (spent) {
        throw new IllegalStateException(
            "the fused cells allow one backward pass for each forward pass; run forward again");
      }
      spent = true;
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        gradients = backward.apply(outputGradients);
        for (int i = 0; i < gradients.length; i++) {
          Ops.expectShape("gradient of input " + i, gradients[i], "of the input", shapes[i]);
          gradients[i] = Scopes.keep(gradients[i].view(-1));
        }
      } finally {
        for (int i = 0; i < outputGradients.length; i++) {
          Tensor gradient = outputGradients[i];
          if (gradient != null) {
            Scopes.release(gradient);
            outputGradients[i] = null;
          }
        }
      }
      if (wanted == 0) {
        end();
      }
    }

    /// libtorch copies the handle as soon as the hook returns, so what the hook before gave can go.
    private Tensor handOut(int index) {
      Returned.release();
      Tensor gradient = gradients[index];
      Returned.set(gradient);
      handedOut++;
      if (handedOut == wanted) {
        end();
      }
      return gradient;
    }

    private void end() {
      LIVE.remove(this);
      for (int i = 0; i < gradients.length; i++) {
        if (onInputs[i] == null) {
          Scopes.release(gradients[i]); // of an input that wanted none
        }
      }
      gradients = new Tensor[0];
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
