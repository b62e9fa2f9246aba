package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TensorBoardFileTest {
  @TempDir private Path folder;

  @Test
  void the_checksum_of_the_reader_is_the_published_one() {
    // RFC 3720, B.4: 32 bytes of zeros have CRC-32C 8a9136aa
    int crc = 0x8A9136AA;
    assertThat(EventFileReader.maskedCrc(ByteBuffer.allocate(32), 0, 32))
        .isEqualTo(((crc >>> 15) | (crc << 17)) + 0xA282EAD8);
  }

  @Test
  void a_file_begins_with_its_version_and_no_session() throws IOException {
    Path path = write(0, sink -> {});
    List<EventFileReader.Message> events = EventFileReader.read(path);
    assertThat(events).hasSize(1);
    assertThat(events.getFirst().text(3)).isEqualTo("brain.Event:2");
    assertThat(path.getFileName().toString())
        .matches("events\\.out\\.tfevents\\.\\d{10}\\.[A-Za-z0-9-]+\\.\\d+\\.0");
  }

  @Test
  void scalars_read_back_with_their_step_and_names() throws IOException {
    var values = new LinkedHashMap<String, Double>();
    values.put("train/loss", 8.25);
    values.put("train/gradient_norm", Double.NaN);
    values.put("train/tokens", 1e300); // beyond a float
    Path path = write(0, sink -> sink.scalars(1L << 40, values));
    EventFileReader.Message event = EventFileReader.read(path).get(1);
    assertThat(event.integer(2)).isEqualTo(1L << 40);
    assertThat((Double) event.only(1)).isGreaterThan(1.7e9);
    List<EventFileReader.Message> read = event.message(5).messages(1);
    assertThat(read).extracting(value -> value.text(1)).containsExactlyElementsOf(values.keySet());
    assertThat(read)
        .extracting(value -> value.only(2))
        .containsExactly(8.25f, Float.NaN, Float.POSITIVE_INFINITY);
  }

  @ParameterizedTest(name = "{0} characters")
  @ValueSource(
      ints = {0, 1, 127, 128, 129, 16_383, 16_384, 100_000}) // lengths of one, two, three bytes
  void texts_of_any_length_read_back(int length) throws IOException {
    var random = new Random(length);
    var text = new StringBuilder();
    for (int i = 0; i < length; i++) {
      text.appendCodePoint("aé漢😀<".codePoints().toArray()[random.nextInt(5)]);
    }
    Path path = write(0, sink -> sink.text(3, "samples/0", text.toString()));
    EventFileReader.Message value = EventFileReader.read(path).get(1).message(5).message(1);
    assertThat(value.text(1)).isEqualTo("samples/0");
    assertThat(value.message(9).message(1).text(1)).isEqualTo("text");
    EventFileReader.Message tensor = value.message(8);
    assertThat(tensor.integer(1)).isEqualTo(7); // DT_STRING
    assertThat(tensor.message(2).message(2).integer(1)).isEqualTo(1); // shape (1)
    assertThat(tensor.text(8)).isEqualTo(text.toString());
  }

  @Test
  void histograms_read_back() throws IOException {
    double[] values = {-1, 0, 0, 3, Double.NaN};
    Path path = write(0, sink -> sink.histogram(3, "weights/head", values));
    EventFileReader.Message read =
        EventFileReader.read(path).get(1).message(5).message(1).message(5);
    assertThat(read.only(1)).isEqualTo(-1.0);
    assertThat(read.only(2)).isEqualTo(3.0);
    assertThat(read.only(3)).isEqualTo(4.0);
    assertThat(read.only(4)).isEqualTo(2.0);
    assertThat(read.only(5)).isEqualTo(10.0);
    assertThat(read.doubles(6)).hasSize(64).isSorted().endsWith(3);
    assertThat(read.doubles(7)).hasSize(64).startsWith(1).endsWith(1);
  }

  @Test
  void a_histogram_of_nothing_writes_nothing() throws IOException {
    Path path = write(0, sink -> sink.histogram(3, "weights/head", new float[0]));
    assertThat(EventFileReader.read(path)).hasSize(1);
  }

  @Test
  void a_resumed_run_begins_a_later_file_with_the_start_of_a_session() throws IOException {
    Path first = write(0, sink -> sink.scalars(9, Map.of("train/loss", 1.0)));
    Path second = write(7, sink -> {}); // in the same second
    Path third = write(8, sink -> {});
    assertThat(List.of(third, second, first)).isSortedAccordingTo((a, b) -> b.compareTo(a));
    List<EventFileReader.Message> events = EventFileReader.read(second);
    assertThat(events).hasSize(2);
    assertThat(events.get(1).integer(2)).isEqualTo(8); // forget from here on
    assertThat(events.get(1).message(7).integer(1)).isEqualTo(1); // SessionLog.START
    assertThat(EventFileReader.read(third).get(1).integer(2)).isEqualTo(9);
  }

  @ParameterizedTest(name = "all but {0} bytes")
  @ValueSource(ints = {0, 1, 5, 20, 60})
  void a_resumed_run_cuts_later_steps_and_a_torn_record_from_older_files(int missing)
      throws IOException {
    Path first =
        write(
            0,
            sink -> {
              for (int step = 1; step <= 300; step++) { // steps of one and of two bytes
                sink.scalars(step, Map.of("train/loss", 1.0));
              }
            });
    byte[] all = Files.readAllBytes(first);
    Files.write(first, Arrays.copyOf(all, all.length - missing));
    write(400, sink -> {});
    assertThat(EventFileReader.read(first)).hasSize(missing == 0 ? 301 : missing < 60 ? 300 : 299);
    write(200, sink -> {});
    assertThat(EventFileReader.read(first))
        .hasSize(201)
        .last()
        .extracting(event -> event.integer(2))
        .isEqualTo(200L);
    Files.writeString(first, "not an event file");
    write(100, sink -> {});
    assertThat(first).isEmptyFile();
  }

  @Test
  void a_folder_that_cannot_be_made_is_named() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "", StandardCharsets.UTF_8);
    assertThatThrownBy(() -> TensorBoardFile.open(file.resolve("events"), 0))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(file.toString());
  }

  private Path write(long lastStep, Consumer<MetricsLogger> what) {
    try (var sink = TensorBoardFile.open(folder.resolve("tensorboard"), lastStep)) {
      what.accept(sink);
      return sink.path();
    }
  }
}
