package io.xlstm4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.IntBuffer;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// A workspace that many draws share: none of them leaves anything for the next.
class SamplerReuseTest {
  @Test
  void draws_that_share_a_workspace_are_those_with_one_each() {
    var shared = new Sampler.Workspace();
    var random = new Random(3);
    for (int step = 0; step < 400; step++) {
      var config =
          new SamplerConfig(
              random.nextInt(3) / 2.0,
              random.nextInt(4),
              random.nextBoolean() ? 1 : 0.8,
              random.nextBoolean() ? 0 : 0.1,
              random.nextBoolean() ? 1 : 5,
              7);
      float[] logits = new float[random.nextInt(1, 12)];
      for (int id = 0; id < logits.length; id++) {
        logits[id] = (float) random.nextGaussian();
      }
      int[] seen = random.ints(random.nextInt(4), 0, 12).toArray();
      var sampler = new Sampler(config);
      int alone = sampler.sample(logits, logits.length, IntBuffer.wrap(seen), 0, step);
      assertThat(sampler.sample(logits, logits.length, IntBuffer.wrap(seen), 0, step, shared))
          .as("step %d, %s", step, config)
          .isEqualTo(alone);
    }
  }
}
