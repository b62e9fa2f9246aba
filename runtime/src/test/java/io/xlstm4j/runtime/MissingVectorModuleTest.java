package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
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

/// Generation in a JVM that was started without the Vector API's module, or with shorter vectors.
class MissingVectorModuleTest {
  private static final String FLAG = "--add-modules jdk.incubator.vector";

  /// Sums of some hundred float32 terms in another order, through all blocks and 76 tokens.
  private static final Offset<Float> CLOSE = within(1e-4f);

  @TempDir private Path folder;

  @Test
  void both_families_in_every_type_run_without_the_module_and_one_warning_names_the_flag()
      throws Exception {
    assertClose(generate(List.of()));
    assertThat(Files.readString(folder.resolve("err")).split(FLAG, -1)).hasSize(2);
  }

  @ParameterizedTest
  @ValueSource(strings = {"-XX:UseAVX=2", "-XX:MaxVectorSize=16"})
  void both_families_in_every_type_run_with_shorter_vectors_and_without_a_warning(String width)
      throws Exception {
    assertClose(generate(List.of("--add-modules=jdk.incubator.vector", width)));
    assertThat(Files.readString(folder.resolve("err"))).doesNotContain(FLAG);
  }

  private void assertClose(Map<String, List<Float>> actual) throws IOException {
    Map<String, List<Float>> expected =
        SmallGeneration.logits(Files.createDirectory(folder.resolve("here")));
    assertThat(actual.keySet()).isEqualTo(expected.keySet());
    expected.forEach((name, logits) -> {
      List<Float> others = Objects.requireNonNull(actual.get(name));
      assertThat(others).as(name).hasSameSizeAs(logits);
      for (int i = 0; i < logits.size(); i++) {
        assertThat(others.get(i)).as("%s, logit %d", name, i).isCloseTo(logits.get(i), CLOSE);
      }
    });
  }

  /// The logits of [SmallGeneration] in a JVM of its own.
  private Map<String, List<Float>> generate(List<String> flags)
      throws IOException, InterruptedException {
    Path out = folder.resolve("logits");
    Path err = folder.resolve("err");
    Path work = Files.createDirectory(folder.resolve("there"));
    var command = new ArrayList<String>();
    command.add(ProcessHandle.current().info().command().orElseThrow());
    command.add("--enable-native-access=ALL-UNNAMED");
    command.addAll(flags);
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(List.of(SmallGeneration.class.getName(), out.toString(), work.toString()));
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
    var logits = new TreeMap<String, List<Float>>();
    for (String line : Files.readAllLines(out)) {
      String[] cells = line.split(",", -1);
      logits.put(cells[0], Arrays.stream(cells).skip(1).map(Float::valueOf).toList());
    }
    return logits;
  }
}
