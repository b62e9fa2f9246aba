package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.core.safetensors.DType;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What a token costs once everything is warm.
class SteadyStateTest {
  /// Bytes per token: far less than the smallest of the arrays that must not be made anew.
  private static final long NOISE = 512;

  /// Enough for the compiler to see that no vector leaves its method.
  private static final int WARM_UP = 6_000;

  private static final int TOKENS = 400;

  @TempDir private Path temporary;

  @Test
  void a_step_allocates_nothing_on_any_thread() {
    try (var model = RuntimeModel.open(Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary), 2);
        Row first = model.newRow();
        Row second = model.newRow()) {
      int[] ids = {1, 2};
      Row[] rows = {first, second};
      assertQuiet(() -> model.step(ids, rows, 2));
    }
  }

  @Test
  void a_generated_token_allocates_nothing_but_itself() {
    try (var model = RuntimeModel.open(Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary), 1);
        var generation = new Generation(model)) {
      var sampler = new SamplerConfig(1, 50, 0.9, 0, 1.1, 1);
      generation.add(Request.of(1).withMaxTokens(1_000_000).withSampler(sampler), _ -> {});
      assertQuiet(generation::step);
    }
  }

  /// Measured up to ten times, because a compiler that is late shows as garbage.
  private static void assertQuiet(Runnable step) {
    for (int i = 0; i < WARM_UP; i++) {
      step.run();
    }
    long least = Long.MAX_VALUE;
    for (int round = 0; round < 10 && least > NOISE; round++) {
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
