package io.xlstm4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsWriterTest {
  private static final Path REFERENCE =
      Path.of("src/test/resources/safetensors/reference.safetensors");

  @TempDir Path folder;

  /// The tensors of write_reference.py.
  private static List<TensorData> referenceTensors() {
    float[] quarters = {-0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f};
    return List.of(
        TensorData.of("b.f32", DType.F32, new long[] {2, 3}, quarters),
        TensorData.of("a.f32", DType.F32, new long[0], 3.25f),
        TensorData.ofDoubles("f64", new long[] {6}, 0, 1 / 3.0, 2 / 3.0, 1, 4 / 3.0, 5 / 3.0),
        TensorData.of("bf16", DType.BF16, new long[] {3, 2}, quarters),
        TensorData.of("f16", DType.F16, new long[] {1, 6}, quarters),
        TensorData.ofIntegers("i64", DType.I64, new long[] {6}, -3, -2, -1, 0, 1, 2),
        TensorData.ofIntegers("i32", DType.I32, new long[] {6}, -3, -2, -1, 0, 1, 2),
        TensorData.ofIntegers("u8", DType.U8, new long[] {5}, 251, 252, 253, 254, 255),
        TensorData.of("empty", DType.F32, new long[] {0, 4}),
        TensorData.of("name \"quoted\" \\ / \t \u007f é 𝄞 \u2028", DType.F32, new long[] {1}, 1));
  }

  @Test
  void writes_the_same_bytes_as_python_whatever_the_order_of_the_tensors() throws Exception {
    var tensors = new ArrayList<>(referenceTensors());
    for (int seed = 0; seed < 5; seed++) {
      Collections.shuffle(tensors, new Random(seed));
      Path file = folder.resolve("x.safetensors");
      SafetensorsWriter.write(file, tensors, Map.of("format", "pt"));
      assertThat(file).hasSameBinaryContentAs(REFERENCE);
    }
  }

  @Test
  void writes_the_same_bytes_in_every_language() {
    Locale before = Locale.getDefault();
    try {
      Locale.setDefault(Locale.forLanguageTag("ar-EG-u-nu-arab"));
      Path file = folder.resolve("x.safetensors");
      SafetensorsWriter.write(file, referenceTensors(), Map.of("format", "pt"));
      assertThat(file).hasSameBinaryContentAs(REFERENCE);
      SafetensorsWriter.writeSharded(folder, referenceTensors(), Map.of(), 1);
      assertThat(folder.resolve("model-00001-of-00010.safetensors")).exists();
    } finally {
      Locale.setDefault(before);
    }
  }

  @Test
  void copying_a_file_through_the_reader_gives_the_same_bytes() {
    Path copy = folder.resolve("copy.safetensors");
    try (var source = SafetensorsFile.open(REFERENCE)) {
      List<TensorData> tensors =
          source.tensors().values().stream()
              .map(i -> new TensorData(i.name(), i.dtype(), i.shape(), source.data(i.name())))
              .toList();
      SafetensorsWriter.write(copy, tensors, source.metadata());
    }
    assertThat(copy).hasSameBinaryContentAs(REFERENCE);
  }

  @Test
  void no_metadata_writes_no_metadata_key_and_several_are_sorted() throws Exception {
    Path file = folder.resolve("x.safetensors");
    SafetensorsWriter.write(file, List.of(), Map.of());
    assertThat(Files.readString(file)).isEqualTo("\10\0\0\0\0\0\0\0{}      ");
    SafetensorsWriter.write(file, List.of(), Map.of("z", "1", "a", "\u001f\n\b\f\r"));
    assertThat(Files.readString(file))
        .contains("{\"__metadata__\":{\"a\":\"\\u001f\\n\\b\\f\\r\",\"z\":\"1\"}}");
  }

  @Test
  void names_are_ordered_as_utf8_not_as_utf16() {
    Path file = folder.resolve("x.safetensors");
    SafetensorsWriter.write(
        file,
        List.of(
            TensorData.of("\uff5e", DType.F32, new long[] {1}, 1),
            TensorData.of("𝄞", DType.F32, new long[] {1}, 2)),
        Map.of());
    try (var source = SafetensorsFile.open(file)) {
      assertThat(source.tensors().keySet()).containsExactly("\uff5e", "𝄞");
    }
  }

  @Test
  void data_longer_than_one_chunk_and_on_the_heap_is_written_whole() {
    float[] values = new float[700_001]; // 2.8 MB, not a multiple of the chunk
    for (int i = 0; i < values.length; i++) {
      values[i] = i;
    }
    Path file = folder.resolve("x.safetensors");
    SafetensorsWriter.write(
        file,
        List.of(
            new TensorData("heap", DType.F32, new long[] {700_001}, MemorySegment.ofArray(values)),
            TensorData.of("direct", DType.F32, new long[] {1, 700_001}, values)),
        Map.of());
    try (var source = SafetensorsFile.open(file)) {
      assertThat(Arrays.equals(source.floats("heap"), values)).isTrue();
      assertThat(Arrays.equals(source.floats("direct"), values)).isTrue();
    }
  }

  @Test
  void a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it() throws Exception {
    Path file = folder.resolve("x.safetensors");
    SafetensorsWriter.write(file, referenceTensors(), Map.of("format", "pt"));
    MemorySegment gone;
    try (var arena = Arena.ofConfined()) {
      gone = arena.allocate(4);
    }
    var broken = new TensorData("w", DType.F32, new long[] {1}, gone);

    assertThatThrownBy(() -> SafetensorsWriter.write(file, List.of(broken), Map.of()))
        .isInstanceOf(IllegalStateException.class);

    assertThat(file).hasSameBinaryContentAs(REFERENCE);
    try (var all = Files.list(folder)) {
      assertThat(all).containsExactly(file);
    }
  }

  @Test
  void places_that_cannot_be_written_are_named_in_one_line() throws Exception {
    Path file = Files.writeString(folder.resolve("file"), "x");
    Path inFile = file.resolve("x.safetensors");
    assertThatThrownBy(() -> SafetensorsWriter.write(inFile, List.of(), Map.of()))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(inFile + ": cannot be written: Not a directory");
    Path nowhere = folder.resolve("gone").resolve("x.safetensors");
    assertThatThrownBy(() -> SafetensorsWriter.write(nowhere, List.of(), Map.of()))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(nowhere + ": cannot be written: no such file or folder");
    Path directory = Files.createDirectory(folder.resolve("directory"));
    assertThatThrownBy(() -> SafetensorsWriter.write(directory, List.of(), Map.of()))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(directory + ": cannot be written: ")
        .hasMessageNotContaining("\n");
    try (var all = Files.list(folder)) {
      assertThat(all).containsExactlyInAnyOrder(file, directory);
    }
  }

  @Test
  void tensors_that_no_reader_would_accept_are_refused() {
    var w = TensorData.of("w", DType.F32, new long[] {1}, 1);
    Path file = folder.resolve("x.safetensors");
    assertThatThrownBy(() -> SafetensorsWriter.write(file, List.of(w, w), Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("two tensors are named 'w'");
    assertThatThrownBy(() -> TensorData.of("w", DType.F32, new long[] {2, 2}, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("tensor 'w' has 4 bytes of data, but shape [2, 2] of F32 needs 16");
    assertThatThrownBy(() -> TensorData.of("__metadata__", DType.F32, new long[] {1}, 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> TensorData.ofIntegers("w", DType.U8, new long[] {1}, 256))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("value (256) must fit into U8, from 0 to 255");
    assertThatThrownBy(() -> TensorData.of("w", DType.I32, new long[] {1}, 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> SafetensorsWriter.write(file, List.of(), Map.of("\ud800", "")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("unpaired surrogate in '\\ud800'");
    var deep = TensorData.of("w", DType.F32, LongStream.generate(() -> 1).limit(65).toArray(), 1);
    assertThatThrownBy(() -> SafetensorsWriter.write(file, List.of(deep), Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("the new header: tensor 'w': shape has more than 64 numbers");
    assertThat(file).doesNotExist();
  }

  @Test
  void a_shape_cannot_be_changed_from_outside() {
    long[] shape = {2};
    var tensor = TensorData.of("w", DType.F32, shape, 1, 2);
    shape[0] = 3;
    tensor.shape()[0] = 4;
    assertThat(tensor.shape()).containsExactly(2);
  }

  @Test
  void writing_replaces_a_link_not_what_it_points_to() throws IOException {
    Path target = Files.writeString(folder.resolve("target"), "old");
    Path link = Files.createSymbolicLink(folder.resolve("link"), target);
    SafetensorsWriter.write(link, List.of(), Map.of());
    assertThat(target).hasContent("old");
    assertThat(link).isRegularFile();
  }
}
