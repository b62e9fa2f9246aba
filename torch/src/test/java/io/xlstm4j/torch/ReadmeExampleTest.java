package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.bytedeco.pytorch.global.torch.mse_loss;
import static org.bytedeco.pytorch.global.torch.randn;
import static org.bytedeco.pytorch.global.torch.zeros;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;

/// The README's cell example, run, and held to be what the README shows.
class ReadmeExampleTest {
  @Test
  void the_example_runs() {
    Torch.load();
    // begin
    try (var _ = new PointerScope(); // frees every tensor made below
        var lstm = new Slstm(32, 16, 4)) { // input width, head width, heads
      Tensor sequence = randn(8, 4, 32); // (time, batch, width)
      Slstm.State state = lstm.initialState(4);
      Tensor loss = zeros(1);
      for (int t = 0; t < 7; t++) {
        Slstm.Output next = lstm.step(sequence.select(0, t), state);
        state = next.state();
        loss = loss.add(mse_loss(next.output(), sequence.select(0, t + 1)));
      }
      loss.backward();
      // end
      assertThat(loss.item_double()).isFinite().isPositive();
      for (Map.Entry<String, Tensor> parameter : lstm.parameters().byName().entrySet()) {
        double norm = parameter.getValue().grad().norm().item_double();
        assertThat(norm).as(parameter.getKey()).isFinite().isPositive();
      }
      // begin
    }
    // end
  }

  @Test
  void the_readme_shows_exactly_this_example() throws IOException {
    Path root = Path.of("..");
    String readme = Files.readString(root.resolve("README.md"));
    String shown = readme.replaceAll("(?s).*?```java\\n(.*?)```.*", "$1");
    String source =
        Files.readString(Path.of("src/test/java/io/xlstm4j/torch/ReadmeExampleTest.java"));
    var example = new StringBuilder();
    boolean inside = false;
    for (String line : source.lines().toList()) {
      if (line.strip().equals("// begin")) {
        inside = true;
      } else if (line.strip().equals("// end")) {
        inside = false;
      } else if (inside) {
        example.append(line.substring(4)).append('\n');
      }
    }
    assertThat(shown).isEqualTo(example.toString());
  }
}
