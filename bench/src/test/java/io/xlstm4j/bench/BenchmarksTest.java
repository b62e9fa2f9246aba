package io.xlstm4j.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.kernels.Kernels;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every benchmark at a size that takes no time.
class BenchmarksTest {
  private static final Sizes.Served SERVED = new Sizes.Served(64, 2, 70);
  private static final Sizes TINY = new Sizes(8, 4, 16, 2, 11, 2, SERVED);
  private static final Timing ONCE = new Timing(1, 0, 0);

  private static Benchmark.Setting tiny(Benchmark.FreshProcess fresh) {
    return new Benchmark.Setting(TINY, ONCE, fresh);
  }

  static Stream<Benchmark.Case> casesOfThisProcess() {
    return Benchmarks.ALL.stream()
        .filter(benchmark -> !(benchmark instanceof Linearity || benchmark instanceof Bandwidth))
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
    } else if (measured.details().containsKey("weights")) {
      assertServing(measured);
    } else {
      assertThat(measured.number("B")).isEqualTo(TINY.batch());
      assertThat(measured.number("S")).isEqualTo(TINY.length());
      assertThat(measured.number("NH")).isEqualTo(TINY.heads());
      assertThat(measured.details()).containsKey("tokens_per_s");
    }
  }

  private static void assertServing(Measurement measured) {
    assertThat(measured.number("D")).isEqualTo(SERVED.dim());
    assertThat(measured.number("NH")).isEqualTo(TINY.heads());
    assertThat(measured.number("blocks")).isEqualTo(SERVED.blocks());
    assertThat(measured.number("parameters")).isPositive();
    boolean memory = measured.name().startsWith("peak memory");
    boolean process = memory || measured.name().startsWith("cold start");
    assertThat(measured.details().containsKey("tokens_per_s")).isEqualTo(!process);
    if (memory) {
      assertThat(measured.number("weights_rss_mib")).isPositive();
      assertThat(measured.number("over_weights_mib")).isBetween(10.0, 400.0);
    }
    boolean decode = measured.name().startsWith("greedy decode");
    assertThat(measured.details().containsKey("weight_gb_per_s")).isEqualTo(decode);
  }

  @Test
  void serving_is_measured_in_every_type_beside_the_float32_of_the_peers() {
    List<Measurement> measured =
        new Prefill()
            .cases(tiny(_ -> List.of())).stream().map(next -> next.measure().get()).toList();
    assertThat(measured)
        .extracting(
            Measurement::name,
            all -> all.details().get("weights"),
            all -> all.details().get(Comparison.BESIDE))
        .containsExactly(
            tuple("prefill 8", "float32", null),
            tuple("prefill 8, bf16", "bf16", "prefill 8"),
            tuple("prefill 8, int8", "int8", "prefill 8"));
  }

  @Test
  void rows_are_decoded_alone_and_together() {
    assertThat(new Decode().cases(tiny(_ -> List.of())))
        .extracting(Benchmark.Case::name)
        .containsExactly(
            "greedy decode, batch 1",
            "greedy decode, batch 1, bf16",
            "greedy decode, batch 1, int8",
            "greedy decode, batch 8",
            "greedy decode, batch 8, bf16",
            "greedy decode, batch 8, int8");
  }

  @Test
  void narrower_weights_are_fewer_bytes_and_the_folder_is_gone_afterwards() {
    var bytes = new ArrayList<Long>();
    var config = LargeModelConfig.of(SERVED.vocab(), SERVED.dim(), SERVED.blocks(), TINY.heads());
    for (RandomModel.Type type : RandomModel.Type.values()) {
      Path temporary;
      try (var model = RandomModel.write(config, type)) {
        temporary = model.temporary();
        bytes.add(model.bytesRead());
      }
      assertThat(temporary).doesNotExist();
    }
    long read = ModelTensors.parameterCount(config) - (long) SERVED.vocab() * SERVED.dim();
    assertThat(bytes.get(0)).isEqualTo(4 * read);
    assertThat(bytes.get(1)).isEqualTo(2 * read);
    assertThat(bytes.get(2)).isBetween(read, 2 * read);
  }

  @Test
  void bandwidth_is_read_on_one_thread_and_on_all() {
    int all = Kernels.shared().threads().count();
    List<Measurement> measured =
        new Bandwidth(2 << 20)
            .cases(tiny(_ -> List.of())).stream().map(next -> next.measure().get()).toList();
    assertThat(measured.getFirst().threads()).isEqualTo(1);
    assertThat(measured.getLast().threads()).isEqualTo(all);
    assertThat(measured).allSatisfy(line -> assertThat(line.number("gb_per_s")).isPositive());
  }

  @Test
  void sizes_of_served_models_have_names() {
    assertThat(Sizes.Served.named("77m", 50_304)).isEqualTo(Sizes.DEFAULT.served());
    Sizes.Served larger = Sizes.Served.named("247m", 50_304);
    var config = LargeModelConfig.of(larger.vocab(), larger.dim(), larger.blocks(), 4);
    assertThat(ModelTensors.parameterCount(config)).isBetween(246_500_000L, 248_500_000L);
    assertThatThrownBy(() -> Sizes.Served.named("7b", 50_304))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("size (7b) must be 77m or 247m");
  }

  @Test
  void a_head_that_does_not_divide_the_served_model_is_refused() {
    var sizes = new Sizes(8, 4, 15, 3, 11, 2, SERVED);
    var setting = new Benchmark.Setting(sizes, ONCE, _ -> List.of());
    assertThatThrownBy(() -> new Decode().cases(setting))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("numHeads (3)");
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
    String threads = "--threads=" + Kernels.shared().threads().count();
    assertThat(started).allSatisfy(arguments -> assertThat(arguments).contains(threads));
  }

  @Test
  void linearity_refuses_rows_that_it_cannot_stretch() {
    var setting =
        new Benchmark.Setting(new Sizes(4, 4, 16, 2, 11, 2, SERVED), ONCE, _ -> List.of());
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
            "there is no benchmark cell; there are train-step, cells, seed, gemm, linearity, "
                + "prefill, decode, startup, memory, bandwidth, train-step-large");
  }
}
