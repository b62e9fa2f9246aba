package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Files that are not what they claim to be.
class StateFileTest {
  /// Mutations tried; a million by hand, with `-Dxlstm4j.fuzz=1000000`.
  private static final int MUTATIONS = Integer.getInteger("xlstm4j.fuzz", 3_000);

  @TempDir private Path temporary;
  private Path file;
  private RuntimeModel model;

  @BeforeEach
  void save() {
    file = temporary.resolve("row.state");
    model = RuntimeModel.open(Fixtures.folder("paper_lm_bias_tied", DType.F32, temporary), 1);
    try (Sequence row = model.newSequence()) {
      model.prefill(row, 1, 2, 3);
      row.save(file);
    }
  }

  @AfterEach
  void close() {
    model.close();
  }

  private void assertRefused(String message) {
    assertThatThrownBy(() -> model.restore(file))
        .isInstanceOf(InvalidStateException.class)
        .hasMessageContaining(message)
        .satisfies(e -> assertThat(String.valueOf(e.getMessage()).lines().count()).isEqualTo(1));
  }

  /// Writes the file anew with something changed, its checksum as it was.
  private void rewrite(BiConsumer<List<TensorData>, Map<String, String>> change) {
    var tensors = new ArrayList<TensorData>();
    var strings = new HashMap<String, String>();
    try (var source = SafetensorsFile.open(file)) {
      strings.putAll(source.metadata());
      for (TensorInfo info : source.tensors().values()) {
        float[] values = source.floats(info.name());
        tensors.add(TensorData.of(info.name(), DType.F32, info.shape(), values));
      }
    }
    change.accept(tensors, strings);
    SafetensorsWriter.write(file, tensors, strings);
  }

  @Test
  void what_was_saved_is_accepted() {
    rewrite((_, _) -> {});
    try (Sequence row = model.restore(file)) {
      assertThat(row.position()).isEqualTo(3);
    }
  }

  @Test
  void a_state_of_another_model_is_refused() {
    for (String name : List.of("paper_lm_7to1", "hf_xlstm_tiny")) {
      try (var other = RuntimeModel.open(Fixtures.folder(name, DType.F32, temporary), 1);
          Sequence row = other.newSequence()) {
        row.save(file);
      }
      assertRefused("of another model");
    }
    // the same sizes, but not the same numbers
    try (var other =
            RuntimeModel.open(Fixtures.folder("paper_lm_bias_tied", DType.BF16, temporary), 1);
        Sequence row = other.newSequence()) {
      row.save(file);
    }
    assertRefused("of another model");
  }

  @Test
  void wrong_strings_are_refused() {
    rewrite((_, strings) -> strings.put("format", "xlstm4j-row-2"));
    assertRefused("format is 'xlstm4j-row-2', must be xlstm4j-row-1");
    rewrite((_, strings) -> strings.remove("format"));
    assertRefused("not a saved row");
  }

  @Test
  void wrong_positions_are_refused() {
    for (String position : List.of("-1", "1e3", "03", "99999999999999999999", "", "4")) {
      save();
      rewrite((_, strings) -> strings.put("position", position));
      assertRefused(position.equals("4") ? "do not agree" : "must be a whole number");
    }
  }

  @Test
  void missing_spare_and_wrong_tensors_are_refused() {
    rewrite((tensors, _) -> tensors.removeFirst());
    assertRefused("not the");
    save();
    rewrite((tensors, _) -> tensors.add(TensorData.of("more", DType.F32, new long[] {1}, 1f)));
    assertRefused("not the");
    save();
    rewrite((tensors, _) ->
        tensors.replaceAll(t ->
            t.name().equals("logits")
                ? TensorData.of("logits", DType.F32, new long[] {1}, 1f)
                : t));
    assertRefused("'logits' is F32 [1], must be F32 [50]");
    save();
    rewrite((tensors, _) ->
        tensors.replaceAll(t ->
            t.name().equals("logits")
                ? TensorData.of("logits", DType.F64, new long[] {50}, new float[50])
                : t));
    assertRefused("'logits' is F64 [50], must be F32 [50]");
  }

  @Test
  void files_that_are_none_or_something_else_are_refused() throws IOException {
    Files.writeString(file, "hello");
    assertRefused("row.state");
    Files.write(file, new byte[0]);
    assertRefused("row.state");
    Files.delete(file);
    assertRefused("no such file");
    file = temporary;
    assertRefused("not a regular file");
  }

  @Test
  void no_damage_goes_unnoticed() throws IOException {
    byte[] good = Files.readAllBytes(file);
    var random = new Random(7);
    for (int i = 0; i < MUTATIONS; i++) {
      byte[] bad = mutated(good, random);
      if (java.util.Arrays.equals(bad, good)) {
        continue;
      }
      Files.write(file, bad);
      try (Sequence row = model.restore(file)) {
        assertThat(row.position()).as("mutation " + i + " was accepted").isEqualTo(3);
        assertThat(sameContent(good, bad)).as("mutation " + i + " was accepted").isTrue();
      } catch (InvalidStateException e) {
        assertThat(String.valueOf(e.getMessage()).lines().count())
            .as("lines of: " + e.getMessage())
            .isEqualTo(1);
      }
    }
  }

  /// Only the header's blanks and the order of its keys may change unnoticed: the data are equal.
  private static boolean sameContent(byte[] good, byte[] bad) {
    int data = 0;
    for (int i = 0; i < Math.min(good.length, bad.length); i++) {
      data += good[i] != bad[i] ? 1 : 0;
    }
    return good.length == bad.length && data <= 1 && firstDifference(good, bad) < headerEnd(good);
  }

  private static int firstDifference(byte[] a, byte[] b) {
    return java.util.Arrays.mismatch(a, b);
  }

  private static int headerEnd(byte[] file) {
    return 8 + (file[0] & 255) + ((file[1] & 255) << 8) + ((file[2] & 255) << 16);
  }

  private static byte[] mutated(byte[] good, Random random) {
    byte[] bad = good.clone();
    int header = headerEnd(good);
    switch (random.nextInt(5)) {
      case 0 -> bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
      case 1 -> bad[random.nextInt(header)] = (byte) random.nextInt(256);
      case 2 -> bad = java.util.Arrays.copyOf(bad, random.nextInt(bad.length));
      case 3 -> bad = java.util.Arrays.copyOf(bad, bad.length + 1 + random.nextInt(9));
      default -> {
        int from = random.nextInt(bad.length - 8);
        int to = random.nextInt(bad.length - 8);
        System.arraycopy(good, from, bad, to, 1 + random.nextInt(8));
      }
    }
    return bad;
  }
}
