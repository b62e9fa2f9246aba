package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.globalContext;

import java.lang.foreign.ValueLayout;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Generator;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The state of a device's random generator, from which dropout draws.
final class RandomState {
  private final byte[] state;

  private RandomState(byte[] state) {
    this.state = state;
  }

  static RandomState of(Device device) {
    try (var _ = new PointerScope()) {
      Tensor state = generator(device).get_state();
      return new RandomState(Tensors.memory(state, state.numel()).toArray(ValueLayout.JAVA_BYTE));
    }
  }

  /// Runs `body` from a place in the stream, and leaves the stream as if nothing was drawn.
  ///
  /// @param from null to leave the stream alone
  static <T> T with(@Nullable RandomState from, Device device, Supplier<T> body) {
    if (from == null) {
      return body.get();
    }
    RandomState before = of(device);
    from.set(device);
    try {
      return body.get();
    } finally {
      before.set(device);
    }
  }

  private void set(Device device) {
    try (var _ = new PointerScope()) {
      generator(device).set_state(Tensors.ofBytes(state));
    }
  }

  private static Generator generator(Device device) {
    return globalContext().defaultGenerator(device);
  }
}
