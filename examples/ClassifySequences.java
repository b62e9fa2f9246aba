// Trains an sLSTM layer between two linear ones to tell slow waves from fast ones, whatever their
// phase and noise. Run it with:
// java --enable-native-access=ALL-UNNAMED --add-modules jdk.incubator.vector \
//   -cp 'cli/target/app/*' examples/ClassifySequences.java

import io.xlstm4j.torch.AdamW;
import io.xlstm4j.torch.Linear;
import io.xlstm4j.torch.Losses;
import io.xlstm4j.torch.Slstm;
import io.xlstm4j.torch.Tensors;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;

static final int BATCH = 16;
static final int LENGTH = 40;
static final int CLASSES = 2;

void main() {
  var random = new Random(1);
  try (var _ = new PointerScope();
      var lstm = new Slstm(16, 8, 2)) { // input width, head width, heads
    var input = new Linear(lstm.parameters().at("input"), 1, 16);
    var head = new Linear(lstm.parameters().at("head"), 16, CLASSES);
    try (var optimizer = new AdamW(lstm.parameters(), 0.01)) {
      for (int step = 1; step <= 120; step++) {
        int[] classes = random.ints(BATCH, 0, CLASSES).toArray();
        try (var _ = new PointerScope()) {
          Tensor hidden = input.forward(waves(classes, random)); // (batch, time, 16)
          Tensor output = lstm.forward(hidden, lstm.initialState(BATCH)).output();
          Tensor logits = head.forward(output.narrow(1, LENGTH - 1, 1)); // of the last position
          Tensor loss = Losses.crossEntropy(logits, Tensors.of(classes, BATCH, 1));
          optimizer.zeroGradients();
          loss.backward();
          optimizer.step();
          if (step % 40 == 0) {
            IO.println("step %3d: loss %.4f".formatted(step, loss.item_double()));
          }
        }
      }
    }
  }
}

/// Noisy waves `(batch, time, 1)`: class 0 is slow, class 1 fast.
Tensor waves(int[] classes, Random random) {
  float[] values = new float[BATCH * LENGTH];
  for (int i = 0; i < BATCH; i++) {
    double phase = random.nextDouble(2 * Math.PI);
    for (int t = 0; t < LENGTH; t++) {
      double wave = Math.sin(phase + (classes[i] == 0 ? 0.2 : 0.4) * t);
      values[i * LENGTH + t] = (float) (wave + 0.2 * random.nextGaussian());
    }
  }
  return Tensors.of(values, BATCH, LENGTH, 1);
}
