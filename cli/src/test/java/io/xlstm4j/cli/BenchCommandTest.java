package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.bench.Measurement;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// `bench` at sizes that take no time.
class BenchCommandTest {
  private static final List<String> TINY =
      List.of(
          "--reps=1",
          "--warmup=0",
          "--least=0",
          "--batch=8",
          "--seq=4",
          "--dim=16",
          "--heads=2",
          "--vocab=11",
          "--blocks=2");

  @TempDir private Path folder;

  private static CommandLineRun bench(String... arguments) {
    var all = new ArrayList<String>(List.of("bench"));
    all.addAll(List.of(arguments));
    all.addAll(TINY);
    return CommandLineRun.of(all.toArray(String[]::new));
  }

  @Test
  void json_is_one_line_for_each_case() {
    var run = bench("cells", "train-step", "--json");
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
    assertThat(run.out().lines().map(Measurement::parse).map(Measurement::name))
        .containsExactly(
            "sLSTM cell forward",
            "sLSTM cell forward+backward",
            "mLSTM cell forward",
            "mLSTM cell forward+backward",
            "2 blocks, sLSTM at 1",
            "1 mLSTM block",
            "1 sLSTM block");
  }

  @Test
  void people_get_a_table_of_the_cases_they_asked_for() {
    var run = bench("seed", "--case=mLSTM: whole");
    assertThat(run.code()).isZero();
    List<String> lines = run.out().lines().toList();
    assertThat(lines).hasSize(2);
    assertThat(lines.get(0)).containsSubsequence("case", "ms", "tokens/s", "GFLOP/s");
    assertThat(lines.get(1)).startsWith("seed mLSTM: whole sequence, MSE, backward ");
  }

  @ParameterizedTest
  @CsvSource({
    "cell, 'bench cell: there is no benchmark cell'",
    "cells --case=none, '--case (none) is in no name of a case'",
    "cells --threads=0, '--threads (0) must be positive'",
    "linearity --batch=4, 'bench linearity: 8 (8) must divide batch (4)'",
    "train-step --heads=3, 'bench train-step: heads (3) must divide dim (16)'",
    "compare --rounds=0, '--rounds (0) must be positive'",
    "compare --xlstm=/nowhere, '--xlstm (/nowhere) must be a folder'",
    "compare decod, 'bench decod: there is no benchmark decod'",
    "decode --large-dim=0, 'bench decode: large-dim (0) must be positive'"
  })
  void wrong_usage_is_told_in_one_line(String arguments, String message) {
    var tiny = new ArrayList<>(List.of("bench"));
    tiny.addAll(List.of(arguments.split(" ")));
    TINY.stream()
        .filter(option -> !arguments.contains(option.replaceAll("=.*", "=")))
        .forEach(tiny::add);
    var run = CommandLineRun.of(tiny.toArray(String[]::new));
    assertThat(run.err()).startsWith("xlstm: " + message);
    assertThat(run.code()).isEqualTo(2);
  }

  @Test
  void nothing_to_measure_is_wrong_usage() {
    var run = CommandLineRun.of("bench");
    assertThat(run.err()).startsWith("xlstm: what to measure is missing; there are train-step");
    assertThat(run.code()).isEqualTo(2);
  }

  @Test
  void compare_runs_either_side_in_turn_and_prints_the_ratios() throws IOException {
    Path python = folder.resolve("python");
    Files.writeString(
        python,
        """
        #!/bin/sh
        echo "peers: one is left out" >&2
        echo '{"peer":"theirs","case":"sLSTM cell forward","threads":1,"ms":1e6,"B":8,"S":4}'
        """);
    assertThat(python.toFile().setExecutable(true)).isTrue();

    var run =
        bench("compare", "cells", "--case=sLSTM cell forward", "--python=" + python, "--json");

    assertThat(run.err().lines())
        .containsExactly(
            "cells, round 1 of 2: xlstm4j",
            "cells, round 1 of 2: peers",
            "peers: one is left out",
            "cells, round 2 of 2: xlstm4j",
            "cells, round 2 of 2: peers",
            "peers: one is left out");
    assertThat(run.code()).isZero();
    List<String> lines = run.out().lines().toList();
    assertThat(lines.stream().limit(6).map(Measurement::parse).map(Measurement::peer))
        .containsExactly("xlstm4j", "xlstm4j", "theirs", "xlstm4j", "xlstm4j", "theirs");
    assertThat(lines.get(6)).startsWith("| case | peer |");
    assertThat(lines.get(8)).startsWith("| sLSTM cell forward | theirs | 1,000,000 |");
    assertThat(lines).hasSize(9);
  }
}
