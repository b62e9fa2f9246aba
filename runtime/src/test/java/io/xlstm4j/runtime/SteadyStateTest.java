package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.core.checkpoint.Int8Quantizer;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.kernels.WeightType;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// The cost of a token once everything is warm.
class SteadyStateTest {
  /// Bytes per token: far less than the smallest of the arrays that must not be made anew.
  private static final long NOISE = 512;

  /// Enough for the compiler to see most of what is hot.
  private static final int WARM_UP = 6_000;

  private static final int TOKENS = 400;

  /// How often it is measured at most: the compiler takes up the kernels of a tiny model late, and
  /// until then their vectors are objects.
  private static final int ROUNDS = 400;

  @TempDir private Path temporary;

  static Stream<Arguments> modelsAndTypes() {
    return Fixtures.NAMES.stream()
        .flatMap(name ->
            Stream.of(WeightType.F32, WeightType.BF16, WeightType.INT8)
                .map(type -> Arguments.of(name, type)));
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("modelsAndTypes")
  void a_step_of_several_rows_allocates_nothing_on_any_thread(String name, WeightType type) {
    try (var model = RuntimeModel.open(folder(name, type), 2);
        Sequence first = model.newSequence();
        Sequence second = model.newSequence();
        Sequence third = model.newSequence()) {
      int[] ids = {1, 2, 3};
      Sequence[] rows = {first, second, third};
      assertQuiet(() -> model.step(ids, rows, 3));
    }
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("modelsAndTypes")
  void a_step_of_one_row_allocates_nothing_on_any_thread(String name, WeightType type) {
    try (var model = RuntimeModel.open(folder(name, type), 2);
        Sequence row = model.newSequence()) {
      int[] ids = {1};
      Sequence[] rows = {row};
      assertQuiet(() -> model.step(ids, rows, 1));
    }
  }

  static List<String> names() {
    return Fixtures.NAMES;
  }

  private Path folder(String name, WeightType type) {
    return switch (type) {
      case F32 -> Fixtures.folder(name, DType.F32, temporary);
      case BF16 -> Fixtures.folder(name, DType.BF16, temporary);
      case F16 -> Fixtures.folder(name, DType.F16, temporary);
      case INT8 -> {
        Path to = temporary.resolve(name + "-int8");
        try (var wide = ModelFolder.open(Fixtures.folder(name, DType.F32, temporary))) {
          Int8Quantizer.write(wide, to, 32);
        }
        yield to;
      }
    };
  }

  @ParameterizedTest
  @MethodSource("names")
  void a_generated_token_allocates_nothing_but_itself(String name) {
    try (var model = RuntimeModel.open(folder(name, WeightType.F32), 1);
        var generation = new Generation(model)) {
      var sampler = new SamplerConfig(1, 50, 0.9, 0, 1.1, 1);
      generation.add(Request.of(1).withMaxTokens(1_000_000).withSampler(sampler), _ -> {});
      assertQuiet(generation::step);
    }
  }

  /// Measured until it is quiet once, because a compiler that is late shows as garbage.
  private static void assertQuiet(Runnable step) {
    for (int i = 0; i < WARM_UP; i++) {
      step.run();
    }
    long least = Long.MAX_VALUE;
    for (int round = 0; round < ROUNDS && least > NOISE; round++) {
      long before = allocated();
      for (int i = 0; i < TOKENS; i++) {
        step.run();
      }
      least = Math.min(least, (allocated() - before) / TOKENS);
    }
    assertThat(least).as("bytes per token").isLessThanOrEqualTo(NOISE);
  }

  private static long allocated() {
    var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    return threads.getTotalThreadAllocatedBytes();
  }
}
