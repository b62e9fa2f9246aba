package io.xlstm4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class RecordComponentsTest {
  @Test
  void a_copy_differs_in_one_component_and_is_checked() {
    SamplerConfig config = SamplerConfig.GREEDY;
    assertThat(RecordComponents.with(config, "topK", 7))
        .isEqualTo(new SamplerConfig(0, 7, 1, 0, 1, 0));
    assertThatThrownBy(() -> RecordComponents.with(config, "topK", -7))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("topK (-7)");
    assertThatThrownBy(() -> RecordComponents.with(config, "topQ", 7))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("no component topQ");
  }
}
