package io.xlstm4j.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every benchmark at a size that takes no time.
class BenchmarksTest {
  private static final Sizes TINY = new Sizes(8, 4, 16, 2, 11, 2);
  private static final Timing ONCE = new Timing(1, 0, 0);

  private static Benchmark.Setting tiny(Benchmark.FreshProcess fresh) {
    return new Benchmark.Setting(TINY, ONCE, fresh);
  }

  static Stream<Benchmark.Case> casesOfThisProcess() {
    return Benchmarks.ALL.stream()
        .filter(benchmark -> !(benchmark instanceof Linearity))
        .flatMap(benchmark -> benchmark.cases(tiny(_ -> List.of())).stream());
  }

  @ParameterizedTest
  @MethodSource("casesOfThisProcess")
  void a_case_measures_and_its_line_has_every_key(Benchmark.Case next) {
    Measurement measured = Measurement.parse(next.measure().get().toJson());

    assertThat(measured.name()).isEqualTo(next.name());
    assertThat(measured.peer()).isEqualTo("xlstm4j");
    assertThat(measured.threads()).isPositive();
    assertThat(measured.number("reps")).isEqualTo(1);
    assertThat(measured.number("warmup_runs")).isZero();
    if (next.name().startsWith("matrix product")) {
      assertThat(measured.details()).containsKeys("M", "N", "K", "gflop_per_s");
    } else {
      assertThat(measured.number("B")).isEqualTo(TINY.batch());
      assertThat(measured.number("S")).isEqualTo(TINY.length());
      assertThat(measured.number("NH")).isEqualTo(TINY.heads());
      assertThat(measured.details()).containsKey("tokens_per_s");
    }
  }

  @Test
  void a_training_step_tells_its_arithmetic_and_its_share_of_the_machine() {
    Measurement measured = new TrainStep().cases(tiny(_ -> List.of())).getFirst().measure().get();
    assertThat(measured.name()).isEqualTo("2 blocks, sLSTM at 1");
    assertThat(measured.details())
        .containsKeys(
            "vocab",
            "parameters",
            "flop_per_token",
            "gflop_per_s",
            "gemm_gflop_per_s",
            "share_of_gemm");
  }

  @Test
  void linearity_measures_equally_many_tokens_in_processes_of_their_own() {
    var started = new ArrayList<List<String>>();
    var step = Measurement.parse("{\"peer\":\"xlstm4j\",\"case\":\"x\",\"threads\":1,\"ms\":2}");
    List<Benchmark.Case> cases =
        new Linearity()
            .cases(
                tiny(arguments -> {
                  started.add(arguments);
                  return List.of(step);
                }));

    List<String> names = cases.stream().map(next -> next.measure().get().name()).toList();

    assertThat(names)
        .containsExactly("2 blocks, sLSTM at 1: B 8, S 8", "2 blocks, sLSTM at 1: B 1, S 64");
    assertThat(started.get(0))
        .startsWith("train-step", "--case=2 blocks, sLSTM at 1")
        .contains("--batch=8", "--seq=8", "--dim=16", "--blocks=2", "--reps=1");
    assertThat(started.get(1)).contains("--batch=1", "--seq=64");
  }

  @Test
  void linearity_refuses_rows_that_it_cannot_stretch() {
    var setting = new Benchmark.Setting(new Sizes(4, 4, 16, 2, 11, 2), ONCE, _ -> List.of());
    assertThatThrownBy(() -> new Linearity().cases(setting))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("batch (4)");
  }

  @Test
  void names_are_of_one_benchmark_each_and_others_are_refused() {
    assertThat(Benchmarks.ALL.stream().map(Benchmark::name)).doesNotHaveDuplicates();
    assertThat(Benchmarks.named("cells")).isInstanceOf(Cells.class);
    assertThatThrownBy(() -> Benchmarks.named("cell"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "there is no benchmark cell; there are train-step, cells, seed, gemm, linearity");
  }
}
