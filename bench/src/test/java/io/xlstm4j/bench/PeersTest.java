package io.xlstm4j.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// The script is started by a shell script that stands in for Python.
class PeersTest {
  @TempDir private Path folder;

  private final List<String> notes = new ArrayList<>();

  private Peers peers(String shell) throws IOException {
    Path python = folder.resolve("python");
    Files.writeString(python, "#!/bin/sh\n" + shell);
    assertThat(python.toFile().setExecutable(true)).isTrue();
    return new Peers(python, List.of("--xlstm=/there"), notes::add);
  }

  @Test
  void gives_the_script_its_arguments_and_reads_its_lines() throws IOException {
    Peers peers =
        peers(
            """
            grep -q 'def main' "$1" || exit 9
            echo "peers: one is left out" >&2
            echo "another library's warning" >&2
            echo "{\\"peer\\":\\"p\\",\\"case\\":\\"$2 $3 $4\\",\\"threads\\":1,\\"ms\\":2.5}"
            """);

    List<Measurement> measured = peers.measure(List.of("cells", "--seq=8"));

    assertThat(measured).hasSize(1);
    assertThat(measured.getFirst().name()).isEqualTo("cells --seq=8 --xlstm=/there");
    assertThat(measured.getFirst().ms()).isEqualTo(2.5);
    assertThat(notes).containsExactly("peers: one is left out");
  }

  @Test
  void a_script_that_fails_is_told_by_its_last_line() throws IOException {
    Peers peers = peers("echo Traceback >&2; echo 'ValueError: no' >&2; exit 3");
    assertThatThrownBy(() -> peers.measure(List.of("cells")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageEndingWith("cells ended with 3: ValueError: no");
  }

  @Test
  void a_python_that_is_not_there_is_named() {
    var peers = new Peers(folder.resolve("none"), List.of(), notes::add);
    assertThatThrownBy(() -> peers.measure(List.of("cells")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("none cannot be run");
  }

  static List<String> sharedCases() {
    return List.of(
        "1 mLSTM block",
        "1 sLSTM block",
        " blocks, sLSTM at 1",
        "sLSTM cell forward",
        "sLSTM cell forward+backward",
        "mLSTM cell forward",
        "mLSTM cell forward+backward",
        ": step through the sequence, MSE, backward",
        "matrix product ",
        "prefill ",
        "greedy decode, batch 1",
        "cold start: process to first logits");
  }

  @ParameterizedTest
  @MethodSource("sharedCases")
  void the_script_names_its_cases_as_we_do(String name) throws IOException {
    try (var script = Peers.class.getResourceAsStream("peers.py")) {
      assertThat(script).isNotNull();
      String text = new String(script.readAllBytes(), StandardCharsets.UTF_8);
      assertThat(text).contains(name);
    }
    var setting = new Benchmark.Setting(Sizes.DEFAULT, new Timing(1, 0, 0), _ -> List.of());
    assertThat(Benchmarks.ALL.stream().flatMap(all -> all.cases(setting).stream()))
        .extracting(Benchmark.Case::name)
        .anyMatch(ours -> ours.contains(name));
  }
}
