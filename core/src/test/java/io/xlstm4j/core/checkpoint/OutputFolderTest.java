package io.xlstm4j.core.checkpoint;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class OutputFolderTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({"model, model", "model, model/small", "model/part, model", "model/part, ., "})
  void a_source_is_never_within_what_is_replaced_nor_the_other_way_round(String from, String to)
      throws IOException {
    Files.createDirectories(folder.resolve(from));

    assertThatThrownBy(() -> OutputFolder.require(folder.resolve(from), folder.resolve(to)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageMatching("(?s).*(same folder|lies within the other).*");
  }

  @Test
  void a_link_to_the_source_is_the_source() throws IOException {
    Path model = Files.createDirectories(folder.resolve("model"));
    Path link = Files.createSymbolicLink(folder.resolve("link"), model);

    assertThatThrownBy(() -> OutputFolder.require(model, link.resolve("small")))
        .hasMessageContaining("lies within the other");
  }

  @ParameterizedTest
  @ValueSource(strings = {"run.yaml", "training", "state.json", ".lock"})
  void a_run_is_never_replaced_by_a_model(String name) throws IOException {
    Path model = Files.createDirectories(folder.resolve("model"));
    Path run = Files.createDirectories(folder.resolve("run"));
    Files.createFile(run.resolve(name));

    assertThatThrownBy(() -> OutputFolder.require(model, run))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("is the folder of a run or of its state (it has " + name + ")");
  }

  @Test
  void a_folder_beside_the_source_is_right_whether_it_is_there_or_not() throws IOException {
    Path model = Files.createDirectories(folder.resolve("runs/model"));
    Path other = Files.createDirectories(folder.resolve("other"));

    assertThatCode(() -> OutputFolder.require(model, other)).doesNotThrowAnyException();
    assertThatCode(() -> OutputFolder.require(model, folder.resolve("runs/model-int8")))
        .doesNotThrowAnyException();
  }
}
