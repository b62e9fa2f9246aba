package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Pictures and charts of values that no axis was made for.
class LossPictureTest {
  @TempDir private Path folder;

  /// Validation losses by step; the same as training losses from step 1 on.
  private static Curves curves(String values) {
    var curves = new Curves();
    long step = 0;
    for (String value : values.split(" ", -1)) {
      double loss = Double.parseDouble(value);
      if (step > 0) {
        curves.scalars(step, Map.of(MetricNames.TRAIN_LOSS, loss));
      }
      curves.scalars(step, Map.of(MetricNames.VALIDATION_LOSS, loss));
      step += 3;
    }
    return curves;
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource({
    "0",
    "0 0",
    "0 0 0 0 0 0 0",
    "-0.0 0",
    "3",
    "3 3 3 3",
    "3.0000001 3 3.0000001 3",
    "100000 100000.001 100000",
    "NaN",
    "NaN NaN NaN",
    "NaN 3 NaN 3",
    "Infinity -Infinity",
    "Infinity 2 1",
    "1e300 1e300",
    "1e300",
    "1e300 1",
    "-1e308 1.7e308 1.7e308",
    "1e-300",
    "1e-300 1e-300 2e-300",
    "4.9e-324 4.9e-324",
    "1e-10 1",
    "5 4 3.5 1e30 2",
    "0.0099999 0.01",
    "-5 -5 -5"
  })
  void any_values_are_drawn_within_seconds(String values) throws IOException {
    Path file = folder.resolve("loss.png");
    Curves curves = curves(values);
    assertTimeoutPreemptively(Duration.ofSeconds(20), () -> LossPicture.draw(curves, "run", file));
    var picture = ImageIO.read(file.toFile());
    int[] pixels = picture.getRGB(0, 0, 960, 560, null, 0, 960);
    boolean anyFinite =
        Arrays.stream(values.split(" ", -1))
            .mapToDouble(Double::parseDouble)
            .anyMatch(Double::isFinite);
    assertThat(Arrays.stream(pixels).anyMatch(pixel -> pixel == 0xFFD1492E)).isEqualTo(anyFinite);

    String html =
        assertTimeoutPreemptively(
            Duration.ofSeconds(20),
            () ->
                new HtmlChart("Loss", "", true)
                    .line("training", curves.get(MetricNames.TRAIN_LOSS), true)
                    .line("validation", curves.get(MetricNames.VALIDATION_LOSS), false)
                    .html(curves.lastStep()));
    assertThat(html.replace("values were NaN", "")).doesNotContain("NaN", "Infinity", "∞");
  }

  @ParameterizedTest(name = "{0} steps")
  @CsvSource({"1", "2", "3", "7", "19", "20", "100", "12345", "2000000000"})
  void runs_of_any_length_are_drawn_within_seconds(long last) {
    var curves = new Curves();
    SequencedMap<String, Double> values = new TreeMap<>();
    values.put(MetricNames.TRAIN_LOSS, 3.0);
    values.put(MetricNames.VALIDATION_LOSS, 2.5);
    curves.scalars(last / 2, values);
    curves.scalars(last, values);
    Path file = folder.resolve("loss.png");
    assertTimeoutPreemptively(Duration.ofSeconds(20), () -> LossPicture.draw(curves, "run", file));
    assertThat(file).isNotEmptyFile();
  }
}
