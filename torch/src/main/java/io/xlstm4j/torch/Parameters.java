package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.empty;

import io.xlstm4j.core.Check;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The parameters of a model by checkpoint name, and their owner.
///
/// Modules do not own their weights: they ask a prefix of this store for them while they are built,
/// so the names in a checkpoint are the path through the modules.
public final class Parameters implements AutoCloseable {
  private final SequencedMap<String, Tensor> byName = new LinkedHashMap<>();
  private final Device device;
  private final ScalarType type;
  private final Start start;
  private volatile @Nullable Consumer<Tensor> gradientListener;
  private boolean closed;

  /// The values of new parameters.
  enum Start {
    /// the numbers their initialisation draws
    INITIALIZED,
    /// anything: they are about to be loaded
    EMPTY
  }

  /// @param type what the parameters are stored in, for example float32
  public Parameters(Device device, ScalarType type) {
    this(device, type, Start.INITIALIZED);
  }

  Parameters(Device device, ScalarType type, Start start) {
    Torch.load();
    this.start = start;
    this.device = new Device(device.type(), device.index());
    this.device.retainReference();
    this.type = type;
  }

  /// Parameters in float32 on the CPU.
  public static Parameters onCpu() {
    return new Parameters(Torch.device("cpu"), ScalarType.Float);
  }

  public Device device() {
    return device;
  }

  public ScalarType type() {
    return type;
  }

  /// Every parameter by its name, in the order of creation. The tensors stay owned by this store.
  public Map<String, Tensor> byName() {
    return Collections.unmodifiableMap(byName);
  }

  /// Returns the number of scalar parameters.
  public long count() {
    return byName.values().stream().mapToLong(Tensor::numel).sum();
  }

  /// The store as seen by a module of that name.
  public Prefix at(String prefix) {
    return new Prefix(this, prefix);
  }

  /// Forgets all gradients.
  public void zeroGradients() {
    for (Tensor parameter : byName.values()) {
      parameter.mutable_grad().reset();
    }
  }

  /// Whom to tell, on the thread of the backward pass, that an operation with a backward pass of
  /// ours has added to the gradient of a parameter. What autograd adds, the parameter's own hooks
  /// tell.
  ///
  /// @param listener null for nobody
  public void gradientListener(@Nullable Consumer<Tensor> listener) {
    gradientListener = listener;
  }

  /// Returns whether someone waits for gradients as they come.
  boolean hasGradientListener() {
    return gradientListener != null;
  }

  void gradientAdded(Tensor parameter) {
    Consumer<Tensor> listener = gradientListener;
    if (listener != null) {
      listener.accept(parameter);
    }
  }

  /// @throws IllegalStateException if the parameters were freed
  void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the model was closed; its parameters are gone");
    }
  }

  /// Frees the parameters. Closing twice is harmless.
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      byName.values().forEach(Scopes::release);
      device.releaseReference();
    }
  }

  private Tensor create(String name, Init init, long... shape) {
    try (var _ = new PointerScope()) {
      Tensor value =
          switch (start) {
            case INITIALIZED -> init.create(shape).to(device, type);
            case EMPTY -> empty(shape, Ops.options(type, device), null);
          };
      Tensor parameter = Scopes.keep(new Tensor(value.set_requires_grad(true)));
      if (byName.putIfAbsent(name, parameter) != null) {
        Scopes.release(parameter);
        throw new IllegalStateException("two modules ask for the parameter " + name);
      }
      return parameter;
    }
  }

  /// A part of the store under a name, as one module sees it.
  public record Prefix(Parameters store, String name) {
    public Prefix {
      Check.notBlank("prefix", name);
    }

    Prefix at(String child) {
      return new Prefix(store, name + "." + child);
    }

    Tensor create(String child, Init init, long... shape) {
      return store.create(name + "." + child, init, shape);
    }
  }
}
