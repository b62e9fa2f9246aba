package io.xlstm4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsFileTest {
  /// Written by the Python package; see write_reference.py beside it.
  private static final Path REFERENCE =
      Path.of("src/test/resources/safetensors/reference.safetensors");

  @TempDir Path folder;

  @Test
  void reads_every_element_type_of_a_file_written_by_python() {
    try (var file = SafetensorsFile.open(REFERENCE)) {
      assertThat(file.metadata()).containsExactly(Map.entry("format", "pt"));
      assertThat(file.tensors().keySet())
          .containsExactly(
              "i64",
              "f64",
              "a.f32",
              "b.f32",
              "empty",
              "name \"quoted\" \\ / \t \u007f é 𝄞 \u2028",
              "i32",
              "bf16",
              "f16",
              "u8");
      assertThat(file.info("b.f32").shape()).containsExactly(2, 3);
      assertThat(file.info("a.f32").shape()).isEmpty();
      assertThat(file.info("empty").elementCount()).isZero();
      assertThat(file.floats("a.f32")).containsExactly(3.25f);
      for (String name : new String[] {"b.f32", "bf16", "f16"}) {
        assertThat(file.floats(name)).containsExactly(-0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f);
        assertThat(file.doubles(name)).containsExactly(-0.5, -0.25, 0, 0.25, 0.5, 0.75);
      }
      assertThat(file.doubles("f64")).containsExactly(0, 1 / 3.0, 2 / 3.0, 1, 4 / 3.0, 5 / 3.0);
      assertThat(file.floats("f64")[1]).isEqualTo(1 / 3f);
      assertThat(file.longs("i64")).containsExactly(-3, -2, -1, 0, 1, 2);
      assertThat(file.longs("i32")).containsExactly(-3, -2, -1, 0, 1, 2);
      assertThat(file.longs("u8")).containsExactly(251, 252, 253, 254, 255);
      assertThat(file.floats("empty")).isEmpty();
    }
  }

  @Test
  void closing_invalidates_the_segments_and_may_be_repeated() {
    var file = SafetensorsFile.open(REFERENCE);
    MemorySegment data = file.data("u8");
    assertThat(data.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 251);

    file.close();
    file.close();

    assertThatThrownBy(() -> data.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> file.floats("b.f32"))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("reference.safetensors is closed");
  }

  @Test
  void segments_cannot_be_written() {
    try (var file = SafetensorsFile.open(REFERENCE)) {
      MemorySegment data = file.data("u8");
      assertThat(data.byteSize()).isEqualTo(5);
      assertThat(data.isReadOnly()).isTrue();
      assertThat(data.isMapped()).isTrue();
    }
  }

  @Test
  void a_tensor_that_is_not_there_or_of_another_kind_is_named() {
    try (var file = SafetensorsFile.open(REFERENCE)) {
      assertThatThrownBy(() -> file.data("w\nx"))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage(REFERENCE + ": has no tensor 'w\\u000ax'");
      assertThatThrownBy(() -> file.floats("u8"))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage(
              REFERENCE + ": tensor 'u8' is U8, but floating-point elements were asked for");
      assertThatThrownBy(() -> file.longs("f64"))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage(REFERENCE + ": tensor 'f64' is F64, but integer elements were asked for");
    }
  }

  @Test
  void missing_files_folders_and_unreadable_files_are_one_line() throws Exception {
    Path missing = folder.resolve("gone.safetensors");
    assertThatThrownBy(() -> SafetensorsFile.open(missing))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(missing + ": no such file");
    Path directory = Files.createDirectory(folder.resolve("folder"));
    assertThatThrownBy(() -> SafetensorsFile.open(directory))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(directory + ": not a regular file");
  }
}
