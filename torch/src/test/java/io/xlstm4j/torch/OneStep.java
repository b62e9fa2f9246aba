package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.mse_loss;

import java.util.Properties;
import java.util.TimeZone;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;

/// A program that trains a step and prints nothing; ends with 3 if its system properties changed.
final class OneStep {
  private OneStep() {}

  public static void main(String[] arguments) {
    TimeZone.getDefault(); // sets user.timezone, which is the JVM's own doing
    Properties before = (Properties) System.getProperties().clone();
    try (var layer = new Slstm(1, 4, 2);
        var _ = new PointerScope()) {
      Tensor x = Tensors.of(new float[] {1, 2, 3, 4}, 1, 4, 1);
      mse_loss(layer.forward(x, layer.initialState(1)).output(), x).backward();
    }
    System.exit(System.getProperties().equals(before) ? 0 : 3);
  }
}
