package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Training in a JVM that was started without the Vector API's module, or with shorter vectors.
class MissingVectorModuleTest {
  private static final String FLAG = "--add-modules jdk.incubator.vector";

  /// Sums of some hundred float32 terms in another order, over four steps of training.
  private static final Offset<Double> CLOSE = within(2e-5);

  @TempDir private Path folder;

  @Test
  void every_layer_and_family_trains_without_the_module_and_one_warning_names_the_flag()
      throws Exception {
    assertClose(train(List.of()));
    assertThat(Files.readString(folder.resolve("err")).split(FLAG, -1)).hasSize(2);
  }

  @ParameterizedTest
  @ValueSource(strings = {"-XX:UseAVX=2", "-XX:MaxVectorSize=16"})
  void every_layer_and_family_trains_with_shorter_vectors_and_without_a_warning(String width)
      throws Exception {
    assertClose(train(List.of("--add-modules=jdk.incubator.vector", width)));
    assertThat(Files.readString(folder.resolve("err"))).doesNotContain(FLAG);
  }

  private static void assertClose(Map<String, List<Double>> actual) {
    Map<String, List<Double>> expected = SmallTraining.losses();
    assertThat(actual.keySet()).isEqualTo(expected.keySet());
    expected.forEach((name, losses) -> {
      assertThat(losses.getLast()).as(name).isLessThan(losses.getFirst());
      List<Double> others = Objects.requireNonNull(actual.get(name));
      for (int step = 0; step < losses.size(); step++) {
        assertThat(others.get(step))
            .as("%s, step %d", name, step)
            .isCloseTo(losses.get(step), CLOSE);
      }
    });
  }

  /// The losses of [SmallTraining] in a JVM of its own.
  private Map<String, List<Double>> train(List<String> flags)
      throws IOException, InterruptedException {
    Path out = folder.resolve("losses");
    Path err = folder.resolve("err");
    var command = new ArrayList<String>();
    command.add(ProcessHandle.current().info().command().orElseThrow());
    command.add("--enable-native-access=ALL-UNNAMED");
    command.addAll(flags);
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(List.of(SmallTraining.class.getName(), out.toString()));
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(Redirect.to(err.toFile()))
            .start();
    try {
      assertThat(process.waitFor(240, TimeUnit.SECONDS)).isTrue();
    } finally {
      process.destroyForcibly();
    }
    assertThat(process.exitValue()).as(Files.readString(err)).isZero();
    var losses = new TreeMap<String, List<Double>>();
    for (String line : Files.readAllLines(out)) {
      String[] cells = line.split(",", -1);
      losses.computeIfAbsent(cells[0], _ -> new ArrayList<>()).add(Double.valueOf(cells[2]));
    }
    return losses;
  }
}
