import static org.bytedeco.pytorch.global.torch.mse_loss;

import io.xlstm4j.torch.Slstm;
import io.xlstm4j.torch.Tensors;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Adam;
import org.bytedeco.pytorch.AdamOptions;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;

/// Learns to predict the next value of a sine wave.
void main() {
  float[] values = new float[201];
  for (int t = 0; t < values.length; t++) {
    values[t] = (float) Math.sin(0.2 * t);
  }
  try (var _ = new PointerScope(); // frees every tensor made below
      var lstm = new Slstm(1, 16, 4)) { // input width, head width, heads
    Tensor wave = Tensors.of(values, 1, values.length, 1); // (batch, time, features)
    Tensor inputs = wave.narrow(1, 0, values.length - 1);
    Tensor targets = wave.narrow(1, 1, values.length - 1);
    var weights = new TensorVector(lstm.parameters().byName().values().toArray(Tensor[]::new));
    var adam = new Adam(weights, new AdamOptions(0.01)); // libtorch's
    for (int step = 0; step <= 100; step++) {
      try (var _ = new PointerScope()) { // one for each step
        Tensor outputs = lstm.forward(inputs, lstm.initialState(1)).output();
        Tensor loss = mse_loss(outputs, targets);
        adam.zero_grad();
        loss.backward();
        adam.step();
        if (step % 50 == 0) {
          IO.println("step %3d: loss %.6f".formatted(step, loss.item_double()));
        }
      }
    }
  }
}
