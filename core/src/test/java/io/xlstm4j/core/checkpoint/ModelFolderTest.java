package io.xlstm4j.core.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Folders of every layout open under one set of names; wrong ones are refused in one line before
/// anything is allocated.
class ModelFolderTest {
  private static final LargeModelConfig CONFIG = LargeModelConfig.of(9, 16, 2, 2);
  private static final String INDEX = "model.safetensors.index.json";
  private static final String LAYER = "backbone.blocks.0.mlstm_layer.";

  @TempDir private Path temp;
  private Path folder;

  @BeforeEach
  void write() {
    folder = write(CONFIG, Folders.tensors(CONFIG, 1, DType.F32));
  }

  private Path write(LargeModelConfig config, List<TensorData> tensors) {
    return Folders.write(temp.resolve("model"), config, tensors);
  }

  private static List<TensorData> renamed(UnaryOperator<String> name) {
    return Folders.tensors(CONFIG, 1, DType.F32).stream()
        .map(t -> new TensorData(name.apply(t.name()), t.dtype(), t.shape(), t.data()))
        .toList();
  }

  private static Map<String, List<Double>> values(Path path) {
    try (var opened = ModelFolder.open(path)) {
      return Folders.values(opened.tensors());
    }
  }

  private void assertRefused(String... parts) {
    assertThatThrownBy(() -> ModelFolder.open(folder))
        .isInstanceOf(InvalidInputException.class)
        .message()
        .contains(parts)
        .doesNotContain("\n");
  }

  private void config(String before, String after) throws IOException {
    Path file = folder.resolve("config.json");
    String text = Files.readString(file);
    assertThat(text).contains(before);
    Files.writeString(file, text.replace(before, after));
  }

  /// The model in two files with an index that a test may change.
  private void shard() throws IOException {
    Files.delete(folder.resolve("model.safetensors"));
    List<TensorData> all = Folders.tensors(CONFIG, 1, DType.F32);
    SafetensorsWriter.write(folder.resolve("a.safetensors"), all.subList(0, 5), Map.of());
    SafetensorsWriter.write(folder.resolve("b.safetensors"), all.subList(5, all.size()), Map.of());
    var map = new ArrayList<String>();
    for (int i = 0; i < all.size(); i++) {
      map.add(
          "\"%s\": \"%s\"".formatted(all.get(i).name(), i < 5 ? "a.safetensors" : "b.safetensors"));
    }
    Files.writeString(folder.resolve(INDEX), "{\"weight_map\": {" + String.join(", ", map) + "}}");
  }

  private void index(String before, String after) throws IOException {
    String text = Files.readString(folder.resolve(INDEX));
    assertThat(text).contains(before);
    Files.writeString(folder.resolve(INDEX), text.replaceFirst(before, after));
  }

  @Test
  void either_naming_of_queries_keys_and_values_is_read() {
    Map<String, List<Double>> expected = values(folder);
    write(
        CONFIG,
        renamed(name ->
            name.replace("mlstm_layer.q.", "mlstm_layer.query.")
                .replace("mlstm_layer.k.", "mlstm_layer.key.")
                .replace("mlstm_layer.v.", "mlstm_layer.value.")));

    assertThat(values(folder)).isEqualTo(expected).containsKey(LAYER + "q.weight");
  }

  @Test
  void two_names_of_one_tensor_are_refused() {
    var twice = new ArrayList<>(Folders.tensors(CONFIG, 1, DType.F32));
    twice.addAll(
        renamed(name -> name.replace("layer.q.", "layer.query.")).stream()
            .filter(t -> t.name().contains("query"))
            .toList());
    write(CONFIG, twice);

    assertRefused(LAYER + "q.weight", LAYER + "query.weight", "are two names of one");
  }

  @Test
  void shards_are_found_by_their_index_whatever_their_names() throws IOException {
    Map<String, List<Double>> expected = values(folder);
    shard();

    assertThat(values(folder)).isEqualTo(expected);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"../b.safetensors", "/etc/passwd", "C:\\\\\\\\b", "..", "sub/b.safetensors"})
  void an_index_that_points_elsewhere_is_refused(String elsewhere) throws IOException {
    shard();
    index("\"b.safetensors\"", "\"" + elsewhere + "\"");

    assertRefused("must be the plain name of a file in the same folder");
  }

  @Test
  void a_missing_shard_is_named() throws IOException {
    shard();
    Files.delete(folder.resolve("b.safetensors"));

    assertRefused("b.safetensors", "no such file");
  }

  @Test
  void a_tensor_in_two_shards_is_refused() throws IOException {
    shard();
    SafetensorsWriter.write(
        folder.resolve("a.safetensors"),
        Folders.tensors(CONFIG, 1, DType.F32).subList(0, 6),
        Map.of());

    assertRefused("is in 'a.safetensors', but weight_map says 'b.safetensors'");
  }

  /// The layout of the official code: `config.yaml` and numbered shards.
  private void official(int... cuts) throws IOException {
    Files.delete(folder.resolve("config.json"));
    Files.delete(folder.resolve("model.safetensors"));
    Files.writeString(
        folder.resolve("config.yaml"),
        "embedding_dim: 16\nnum_heads: 2\nnum_blocks: 2\nvocab_size: 9\nffn_proj_factor: 2.667\n");
    List<TensorData> all = renamed(name -> name.replace("backbone.embeddings.", "embedding."));
    int from = 0;
    for (int i = 0; i <= cuts.length; i++) {
      int to = i == cuts.length ? all.size() : cuts[i];
      SafetensorsWriter.write(
          folder.resolve("model_" + i + ".safetensors"), all.subList(from, to), Map.of());
      from = to;
    }
  }

  @Test
  void the_official_layout_is_read_in_one_file_or_several() throws IOException {
    Map<String, List<Double>> expected = values(folder);
    official(3, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16); // more than ten files

    assertThat(values(folder)).isEqualTo(expected);
    try (var opened = ModelFolder.open(folder)) {
      assertThat(opened.layout()).isEqualTo(ModelFolder.Layout.OFFICIAL);
      assertThat(opened.config().model()).isEqualTo(CONFIG);
    }
  }

  @Test
  void a_gap_in_the_numbers_is_named() throws IOException {
    official(3, 7);
    Files.delete(folder.resolve("model_1.safetensors"));

    assertRefused("model_1.safetensors is missing, but model_2.safetensors is there");
  }

  @Test
  void a_tensor_in_two_numbered_files_is_refused() throws IOException {
    official(3);
    SafetensorsWriter.write(
        folder.resolve("model_2.safetensors"), renamed(name -> name).subList(1, 2), Map.of());

    assertRefused("is in model_2.safetensors and in a file before it");
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "\"vocab_size\" : 9 | \"vocab_size\" : 10 | has shape [9, 16], but the configuration asks for [10, 16]",
        "\"num_blocks\" : 2 | \"num_blocks\" : 3 | num_blocks (3) and num_hidden_layers (2)",
        "\"num_heads\" : 2 | \"num_heads\" : 4 | has shape [2, 16], but the configuration asks for [4, 16]",
        "\"num_heads\" : 2 | \"num_heads\" : 3 | num_heads (3) must divide query/key width (8)",
        "\"single\" | \"fused\" | qkv_opreact.weight is missing",
        "\"use_bias\" : false | \"use_bias\" : true | .bias is missing",
        "\"add_out_norm\" : true | \"add_out_norm\" : false | out_norm.weight is spare",
        "\"qk_dim_factor\" : 0.5 | \"qk_dim_factor\" : 1 | the configuration asks for [16, 16]",
        "\"vocab_size\" : 9 | \"vocab_size\" : 2147483648 | 2147483648",
        "\"vocab_size\" : 9 | \"vocab_size\" : 2147483647 | has shape [9, 16]",
        "\"xlstm\" | \"mamba\" | model_type is \"mamba\", must be one of [xlstm_paper, xlstm]",
        "\"model_type\" | \"type\" | model_type is missing",
        "\"ffn_proj_factor\" : 2.667 | \"ffn_proj_factor\" : 1e7 | has shape [64, 16]"
      })
  void a_configuration_that_disagrees_with_the_tensors_is_refused(
      String before, String after, String message) throws IOException {
    config(before, after);

    assertRefused(message);
  }

  @Test
  void a_tied_head_may_be_missing_or_the_same_but_not_another() {
    var tied =
        new LargeModelConfig(
            9,
            16,
            2,
            2,
            false,
            0.5,
            1,
            2.667,
            64,
            15,
            30,
            true,
            1e-6,
            true,
            1e-6,
            64,
            256,
            WeightMode.SINGLE,
            true,
            null,
            List.of(),
            null);
    List<TensorData> all = Folders.tensors(CONFIG, 1, DType.F32); // with a head of its own
    TensorData embedding = all.getFirst();
    List<TensorData> without = all.subList(0, all.size() - 1);
    var same = new ArrayList<>(without);
    same.add(new TensorData("lm_head.weight", DType.F32, embedding.shape(), embedding.data()));

    write(tied, without);
    assertThat(values(folder)).doesNotContainKey("lm_head.weight");
    write(tied, same);
    assertThat(values(folder)).containsKey("lm_head.weight");
    write(tied, all);
    assertRefused("the configuration ties the weights", "lm_head.weight", "differ");
    write(CONFIG, without);
    assertRefused("tensor lm_head.weight is missing");
  }

  @Test
  void an_unknown_or_integer_type_is_refused() throws IOException {
    var tensors = new ArrayList<>(Folders.tensors(CONFIG, 1, DType.F32));
    tensors.removeIf(t -> t.name().equals("backbone.out_norm.weight"));
    tensors.add(
        TensorData.ofIntegers(
            "backbone.out_norm.weight", DType.I32, new long[] {16}, new long[16]));
    write(CONFIG, tensors);
    assertRefused("has type I32, but a weight must be a floating-point type");

    byte[] header =
        "{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}"
            .getBytes(StandardCharsets.UTF_8);
    var file = ByteBuffer.allocate(9 + header.length).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(header.length).put(header).put((byte) 0);
    Files.write(folder.resolve("model.safetensors"), file.array());
    assertRefused("unknown dtype 'F8_E4M3'");
  }

  @Test
  void stacked_weights_of_two_types_cannot_be_taken_as_fused_ones() {
    var tensors = new ArrayList<>(Folders.tensors(CONFIG, 1, DType.F32));
    tensors.replaceAll(t ->
        t.name().equals(LAYER + "k.weight")
            ? TensorData.of(t.name(), DType.BF16, t.shape(), new float[8 * 16])
            : t);
    write(CONFIG, tensors);

    try (var opened = ModelFolder.open(folder)) {
      assertThatThrownBy(() -> opened.tensors(WeightMode.FUSED))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining("cannot be stacked")
          .hasMessageContaining(LAYER + "k.weight");
    }
  }

  @Test
  void an_empty_folder_and_no_folder_are_told_apart() throws IOException {
    Path empty = Files.createDirectory(temp.resolve("empty"));
    assertThatThrownBy(() -> ModelFolder.open(empty))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("no config.json here");
    assertThatThrownBy(() -> ModelFolder.open(temp.resolve("nowhere")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("nowhere");
    Files.delete(folder.resolve("model.safetensors"));
    assertRefused("has neither model.safetensors nor model.safetensors.index.json");
  }
}
