package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.runtime.GenerationOptions;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class GenerateDefaultsTest {
  private static double defaultOf(String option) {
    var spec = new CommandLine(new GenerateCommand()).getCommandSpec();
    return Double.parseDouble(spec.findOption(option).defaultValue());
  }

  @Test
  void the_program_and_the_library_have_the_same_defaults() {
    GenerationOptions options = GenerationOptions.DEFAULT;
    assertThat(defaultOf("--max-tokens")).isEqualTo(options.maxTokens());
    assertThat(defaultOf("--temperature")).isEqualTo(options.temperature());
    assertThat(defaultOf("--top-k")).isEqualTo(options.topK());
    assertThat(defaultOf("--top-p")).isEqualTo(options.topP());
    assertThat(defaultOf("--repetition-penalty")).isEqualTo(options.repetitionPenalty());
    assertThat(options.minP()).isZero();
    assertThat(options.seed()).isNull();
    assertThat(options.stopStrings()).isEmpty();
  }
}
