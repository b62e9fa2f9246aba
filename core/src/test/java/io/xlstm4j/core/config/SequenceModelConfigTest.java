package io.xlstm4j.core.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.SequenceModelConfig.Pooling;
import java.util.List;
import org.junit.jupiter.api.Test;

class SequenceModelConfigTest {
  private static SequenceModelConfig parse(String more) {
    return SequenceConfigKeys.parse(
        "{\"model_type\": \"xlstm_sequence\", \"inputs\": 2, \"outputs\": 3, \"num_blocks\": 2,"
            + " \"embedding_dim\": 16"
            + more
            + "}",
        "config.json");
  }

  @Test
  void written_and_read_again_it_is_the_same() {
    var config =
        new SequenceModelConfig(
            4,
            2,
            Pooling.EVERY,
            SequenceLossConfig.quantiles(0.1, 0.5, 0.9),
            BlockStackConfig.of(3, 32, List.of(1)));
    assertThat(SequenceConfigKeys.parse(SequenceConfigKeys.toJson(config), "x")).isEqualTo(config);
    assertThat(config.headWidth()).isEqualTo(6);
  }

  @Test
  void keys_of_the_stack_stand_beside_its_own() {
    SequenceModelConfig config = parse(", \"slstm_at\": \"all\", \"pooling\": \"mean\"");
    assertThat(config.blockStack().slstmAt()).containsExactly(0, 1);
    assertThat(config.pooling()).isEqualTo(Pooling.MEAN);
  }

  @Test
  void what_is_wrong_is_said_with_its_key_and_value() {
    assertThatThrownBy(() -> parse(", \"vocab_size\": 5"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("unknown key vocab_size");
    assertThatThrownBy(() -> parse(", \"loss\": {\"kind\": \"quantile\"}"))
        .hasMessageContaining("levels ([]) must not be empty");
    assertThatThrownBy(() -> parse(", \"loss\": {\"kind\": \"quantile\", \"levels\": [0.9, 0.1]}"))
        .hasMessageContaining("levels ([0.9, 0.1]) must rise and lie in (0, 1)");
    assertThatThrownBy(() -> parse(", \"loss\": {\"kind\": \"cross_entropy\", \"classes\": 1}"))
        .hasMessageContaining("classes (1) must be at least 2");
    assertThatThrownBy(() -> parse(", \"loss\": {\"classes\": 3}"))
        .hasMessageContaining("classes (3) must be 0 for the loss mse");
    assertThatThrownBy(() -> SequenceConfigKeys.parse("{\"model_type\": \"xlstm\"}", "config.json"))
        .hasMessageContaining("model_type is \"xlstm\", must be xlstm_sequence");
    assertThatThrownBy(() -> parse(", \"inputs\": 0")).isInstanceOf(InvalidInputException.class);
  }
}
