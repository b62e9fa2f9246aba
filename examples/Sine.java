// Trains an sLSTM layer to predict the next value of a sine wave. Run it with:
// java --enable-native-access=ALL-UNNAMED --add-modules jdk.incubator.vector \
//   -cp 'cli/target/app/*' examples/Sine.java

import io.xlstm4j.torch.AdamW;
import io.xlstm4j.torch.Losses;
import io.xlstm4j.torch.Slstm;
import io.xlstm4j.torch.Tensors;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;

void main() {
  float[] values = new float[201];
  for (int t = 0; t < values.length; t++) {
    values[t] = (float) Math.sin(0.2 * t);
  }
  try (var _ = new PointerScope(); // frees every tensor made below
      var lstm = new Slstm(1, 16, 4); // input width, head width, heads
      var optimizer = new AdamW(lstm.parameters(), 0.01)) {
    Tensor wave = Tensors.of(values, 1, values.length, 1); // (batch, time, features)
    Tensor inputs = wave.narrow(1, 0, values.length - 1);
    Tensor targets = wave.narrow(1, 1, values.length - 1);
    for (int step = 0; step <= 100; step++) {
      try (var _ = new PointerScope()) { // one for each step
        Tensor outputs = lstm.forward(inputs, lstm.initialState(1)).output();
        Tensor loss = Losses.meanSquaredError(outputs, targets);
        optimizer.zeroGradients();
        loss.backward();
        optimizer.step();
        if (step % 50 == 0) {
          IO.println("step %3d: loss %.6f".formatted(step, loss.item_double()));
        }
      }
    }
  }
}
