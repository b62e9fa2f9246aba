package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProgramNameTest {
  private static final String PROPERTY = "xlstm4j.program";

  @TempDir private Path folder;

  @Test
  void a_hint_of_convert_has_the_name_that_the_program_was_started_by() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{\"model_type\": \"xlstm_sequence\"}");
    System.setProperty(PROPERTY, "../bin/xlstm");
    try {
      var run = CommandLineRun.of("convert", folder.toString(), folder.resolve("to").toString());
      assertThat(run.code()).isEqualTo(1);
      assertThat(run.err()).contains("use it with ../bin/xlstm forecast");
    } finally {
      System.clearProperty(PROPERTY);
    }
  }
}
