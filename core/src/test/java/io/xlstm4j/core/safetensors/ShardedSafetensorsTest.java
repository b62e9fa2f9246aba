package io.xlstm4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ShardedSafetensorsTest {
  private static final String FIRST = "model-00001-of-00002.safetensors";
  private static final String SECOND = "model-00002-of-00002.safetensors";

  @TempDir Path folder;
  private Path index;

  @BeforeEach
  void write_two_shards() {
    SafetensorsWriter.writeSharded(
        folder,
        List.of(
            TensorData.of("a", DType.F32, new long[] {2}, 1, 2),
            TensorData.of("b", DType.F32, new long[] {1}, 3),
            TensorData.of("c", DType.BF16, new long[] {3}, 4, 5, 6)),
        Map.of("format", "pt"),
        12);
    index = folder.resolve(TensorSource.INDEX_FILE);
  }

  @Test
  void reads_back_what_was_written() throws Exception {
    assertThat(index)
        .hasContent(
            """
            {
              "metadata": {
                "total_size": 18
              },
              "weight_map": {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00001-of-00002.safetensors",
                "c": "model-00002-of-00002.safetensors"
              }
            }
            """);
    try (TensorSource source = TensorSource.openFolder(folder)) {
      assertThat(source.tensors().keySet()).containsExactly("a", "b", "c");
      assertThat(source.metadata()).containsExactly(Map.entry("format", "pt"));
      assertThat(source.floats("a")).containsExactly(1, 2);
      assertThat(source.doubles("c")).containsExactly(4, 5, 6);
      assertThat(source.info("c").shape()).containsExactly(3);
      assertThatThrownBy(() -> source.data("d"))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage(index + ": has no tensor 'd'");
    }
  }

  @ParameterizedTest(name = "{0} bytes a shard")
  @CsvSource({"1, 3", "7, 3", "8, 3", "11, 2", "12, 2", "17, 2", "18, 1", "1000, 1"})
  void shards_hold_no_more_than_asked_except_a_single_larger_tensor(long most, int shards) {
    Path other = folder.resolve("other");
    SafetensorsWriter.writeSharded(
        other,
        List.of(
            TensorData.of("a", DType.F32, new long[] {2}, 1, 2),
            TensorData.of("b", DType.F32, new long[] {1}, 3),
            TensorData.of("c", DType.BF16, new long[] {3}, 4, 5, 6)),
        Map.of(),
        most);
    assertThat(other.resolve("model-%05d-of-%05d.safetensors".formatted(shards, shards))).exists();
    assertThat(other.resolve("model-%05d-of-%05d.safetensors".formatted(shards + 1, shards)))
        .doesNotExist();
    try (TensorSource source = TensorSource.openFolder(other)) {
      assertThat(source.floats("c")).containsExactly(4, 5, 6);
    }
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(
      strings = {
        "../x.safetensors",
        "/etc/passwd",
        "sub/x.safetensors",
        "..\\\\x.safetensors",
        "..",
        ".",
        "",
        "C:x.safetensors",
        "x\\u0000.safetensors",
        "x\\n.safetensors"
      })
  void a_shard_outside_the_folder_is_refused_before_it_is_opened(String name) throws Exception {
    Files.writeString(index, "{\"weight_map\":{\"a\":\"" + name + "\"}}");
    requireRefused("weight_map 'a': '", "must be the plain name of a file in the same folder");
  }

  @Test
  void a_missing_shard_is_named() throws Exception {
    Files.delete(folder.resolve(SECOND));
    assertThatThrownBy(() -> ShardedSafetensors.open(index))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(folder.resolve(SECOND) + ": no such file");
  }

  @Test
  void a_tensor_that_the_index_puts_elsewhere_is_refused() throws Exception {
    replaceInIndex("\"b\": \"" + FIRST, "\"b\": \"" + SECOND);
    requireRefused("tensor 'b' is in '" + FIRST + "', but weight_map says '" + SECOND + "'");
  }

  @Test
  void a_spare_tensor_is_refused() throws Exception {
    replaceInIndex("\"b\": \"" + FIRST + "\",", "");
    requireRefused("tensor 'b' is in '" + FIRST + "', but weight_map does not name it");
  }

  @Test
  void a_tensor_in_no_shard_is_refused() throws Exception {
    replaceInIndex("\"a\": ", "\"d\": \"" + SECOND + "\", \"a\": ");
    requireRefused("weight_map says that tensor 'd' is in '" + SECOND + "', but it is not");
  }

  @Test
  void a_tensor_in_two_shards_is_refused() {
    SafetensorsWriter.write(
        folder.resolve(SECOND),
        List.of(
            TensorData.of("b", DType.F32, new long[] {1}, 3),
            TensorData.of("c", DType.BF16, new long[] {3}, 4, 5, 6)),
        Map.of("format", "pt"));
    requireRefused("tensor 'b' is in '" + SECOND + "', but weight_map says '" + FIRST + "'");
  }

  @Test
  void a_wrong_total_size_is_refused_and_none_is_accepted() throws Exception {
    replaceInIndex("18", "17");
    requireRefused("total_size is 17, but the tensors have 18 bytes");
    replaceInIndex("\"total_size\": 17", "\"note\": [1.5, {\"x\": null}]");
    try (var source = ShardedSafetensors.open(index)) {
      assertThat(source.tensors()).hasSize(3);
    }
  }

  @Test
  void metadata_that_differs_between_shards_is_refused() {
    SafetensorsWriter.write(
        folder.resolve(SECOND),
        List.of(TensorData.of("c", DType.BF16, new long[] {3}, 4, 5, 6)),
        Map.of("format", "np"));
    requireRefused("__metadata__ 'format' is 'np' in '" + SECOND + "', but 'pt' in a file before");
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(
      strings = {
        "",
        "[]",
        "{}",
        "{\"weight_map\":[]}",
        "{\"weight_map\":{\"a\":1}}",
        "{\"weight_map\":{}}x",
        "{\"weight_map\":{},\"weight_map\":{}}",
        "{\"weight_map\":{},\"metadata\":{\"total_size\":1.0}}",
        "{\"weight_map\":{},\"metadata\":7}",
        "{\"note\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
      })
  void an_index_that_is_no_index_is_refused(String content) throws Exception {
    Files.writeString(index, content);
    requireRefused("");
  }

  @Test
  void a_folder_with_neither_or_no_folder_at_all_is_one_line() throws Exception {
    Path empty = Files.createDirectory(folder.resolve("empty"));
    assertThatThrownBy(() -> TensorSource.openFolder(empty))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(empty + ": has neither model.safetensors nor model.safetensors.index.json");
    Path gone = folder.resolve("gone");
    assertThatThrownBy(() -> TensorSource.openFolder(gone))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(gone + ": no such folder");
    SafetensorsWriter.write(
        empty.resolve("model.safetensors"),
        List.of(TensorData.of("w", DType.F32, new long[] {1}, 7)),
        Map.of());
    try (TensorSource source = TensorSource.openFolder(empty)) {
      assertThat(source.floats("w")).containsExactly(7);
    }
  }

  private void replaceInIndex(String before, String after) throws Exception {
    String text = Files.readString(index);
    assertThat(text).contains(before);
    Files.writeString(index, text.replace(before, after));
  }

  private void requireRefused(String... parts) {
    assertThatThrownBy(() -> ShardedSafetensors.open(index))
        .isExactlyInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(index + ": ")
        .hasMessageContainingAll(parts)
        .message()
        .hasLineCount(1);
  }
}
