package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTokenizerTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path folder;

  @Test
  void gives_the_golden_ids_and_texts() throws Exception {
    try (var tokenizer = Tokenizers.fromFile(Samples.golden("tokenizer.json"))) {
      JsonNode golden = JSON.readTree(Samples.golden("encodings.json").toFile());
      assertThat(golden.size()).isGreaterThan(10);
      for (JsonNode sample : golden) {
        String text = sample.path("text").asText();
        int[] ids =
            StreamSupport.stream(sample.path("ids").spliterator(), false)
                .mapToInt(JsonNode::asInt)
                .toArray();
        assertThat(encodeWithEnds(tokenizer, text)).as(text).containsExactly(ids);
        assertThat(tokenizer.decode(ids)).isEqualTo(sample.path("decoded").asText());
        assertThat(StreamDecoderTest.stream(tokenizer, ids))
            .isEqualTo(sample.path("decoded").asText());
      }
      assertThat(tokenizer.vocabSize()).isEqualTo(408);
      assertThat(tokenizer.endOfText()).isZero();
    }
  }

  /// The golden ids were made by a library that finds end-of-text tokens in text; ours never does.
  private static int[] encodeWithEnds(Tokenizer tokenizer, String text) {
    var ids = new IntList();
    for (String part : text.splitWithDelimiters("<\\|endoftext\\|>", 0)) {
      boolean isEnd = part.equals(Tokenizer.END_OF_TEXT);
      ids.addAll(isEnd ? new int[] {tokenizer.endOfText()} : tokenizer.encode(part));
    }
    return ids.toArray();
  }

  @Test
  void many_texts_at_once_give_the_same_ids_as_one_by_one() throws Exception {
    try (var tokenizer = Tokenizers.fromFile(Samples.golden("tokenizer.json"))) {
      List<int[]> all = tokenizer.encodeAll(Samples.NASTY);
      assertThat(all).hasSameSizeAs(Samples.NASTY);
      for (int i = 0; i < all.size(); i++) {
        assertThat(all.get(i)).containsExactly(tokenizer.encode(Samples.NASTY.get(i)));
      }
    }
  }

  @Test
  void random_ids_decode_as_in_the_library_whole_and_in_a_stream() throws Exception {
    var random = new Random(4);
    Path file = Samples.golden("tokenizer.json");
    try (var tokenizer = Tokenizers.fromFile(file)) {
      long library = TokenizersLibrary.LIB.createTokenizerFromString(Files.readString(file));
      for (int i = 0; i < 500; i++) {
        int[] ids = random.ints(random.nextInt(1, 30), 0, tokenizer.vocabSize()).toArray();
        long[] wide = IntStream.of(ids).asLongStream().toArray();
        String text = tokenizer.decode(ids);
        assertThat(text).isEqualTo(TokenizersLibrary.LIB.decode(library, wide, false));
        assertThat(StreamDecoderTest.stream(tokenizer, ids)).isEqualTo(text);
      }
      TokenizersLibrary.LIB.deleteTokenizer(library);
    }
  }

  @Test
  void truncation_and_padding_in_the_file_do_not_touch_the_ids() throws Exception {
    var root = (ObjectNode) JSON.readTree(Samples.golden("tokenizer.json").toFile());
    root.putObject("truncation")
        .put("direction", "Right")
        .put("max_length", 3)
        .put("strategy", "LongestFirst")
        .put("stride", 0);
    root.putObject("padding")
        .put("direction", "Right")
        .put("pad_id", 1)
        .put("pad_type_id", 0)
        .put("pad_token", "<|padding|>")
        .putNull("pad_to_multiple_of")
        .putObject("strategy")
        .put("Fixed", 64);
    try (var golden = Tokenizers.fromFile(Samples.golden("tokenizer.json"));
        var cutting = Tokenizers.fromFile(write(root.toString()))) {
      for (String text : Samples.NASTY) {
        assertThat(cutting.encode(text)).as(text).containsExactly(golden.encode(text));
      }
    }
  }

  @Test
  void tokens_that_are_added_but_not_special_stay_tokens() throws Exception {
    var root = (ObjectNode) JSON.readTree(Samples.golden("tokenizer.json").toFile());
    root.withArray("added_tokens").add(added(408, "<tool>", true)).add(added(409, "qqq", false));
    try (var tokenizer = Tokenizers.fromFile(write(root.toString()))) {
      assertThat(tokenizer.vocabSize()).isEqualTo(410);
      assertThat(tokenizer.encode("qqq<tool>qqq"))
          .startsWith(409)
          .endsWith(409)
          .doesNotContain(408);
      assertThat(tokenizer.decode(tokenizer.encode("qqq<tool>qqq"))).isEqualTo("qqq<tool>qqq");
    }
  }

  @Test
  void words_from_memory_have_the_ids_of_the_library() throws Exception {
    Path file = Samples.golden("tokenizer.json");
    try (var tokenizer = Tokenizers.fromFile(file)) {
      long library = TokenizersLibrary.LIB.createTokenizerFromString(Files.readString(file));
      for (char one = 0; one < 128; one++) {
        for (char other = 0; other < 128; other++) {
          String text = "a" + one + other + "1 " + other + one + one + " s";
          long encoding = TokenizersLibrary.LIB.encode(library, text, false);
          long[] ids = TokenizersLibrary.LIB.getTokenIds(encoding);
          TokenizersLibrary.LIB.deleteEncoding(encoding);
          assertThat(IntStream.of(tokenizer.encode(text)).asLongStream().toArray())
              .as(text)
              .isEqualTo(ids);
        }
      }
      TokenizersLibrary.LIB.deleteTokenizer(library);
    }
  }

  @Test
  void several_threads_may_encode_at_once() throws Exception {
    try (var tokenizer = Tokenizers.fromFile(Samples.golden("tokenizer.json"))) {
      var random = new Random(9);
      List<String> texts = Stream.generate(() -> Samples.random(random, 40)).limit(3000).toList();
      List<int[]> together = tokenizer.encodeAll(texts);
      for (int i = 0; i < texts.size(); i++) {
        assertThat(together.get(i)).isEqualTo(tokenizer.encode(texts.get(i)));
      }
    }
  }

  @Test
  void loading_leaves_the_system_properties_alone() throws Exception {
    Tokenizers.fromFile(Samples.golden("tokenizer.json")).close();
    assertThat(System.getProperties()).doesNotContainKeys("RUST_FLAVOR", "ai.djl.offline");
  }

  private static final String METASPACE =
      """
      {"version": "1.0", "truncation": null, "padding": null,
       "added_tokens": [
        {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true},
        {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true}],
       "normalizer": null,
       "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
        "split": true},
       "post_processor": null,
       "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
        "split": true},
       "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [
        ["<unk>", 0.0], ["</s>", 0.0], ["▁", -2.0], ["▁the", -3.0], ["▁state", -3.5], ["s", -4.0],
        ["t", -4.0], ["h", -4.0], ["e", -4.0], ["北", -5.0], ["京", -5.0], ["🙂", -6.0],
        ["/", -6.0], ["<", -6.0], [">", -6.0]]}}
      """;

  private static final String BYTE_FALLBACK =
      """
      {"version": "1.0", "truncation": null, "padding": null,
       "added_tokens": [
        {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true},
        {"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true},
        {"id": 2, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true}],
       "normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
       "pre_tokenizer": null, "post_processor": null,
       "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
       "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
        "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
        "byte_fallback": true, "ignore_merges": false,
        "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, %s,
         "▁": 259, "t": 260, "h": 261, "e": 262, "th": 263, "the": 264, "▁the": 265, "北": 266},
        "merges": [["t", "h"], ["th", "e"], ["▁", "the"]]}}
      """
          .formatted(
              String.join(
                  ", ",
                  IntStream.range(0, 256)
                      .mapToObj(b -> "\"<0x%02X>\": %d".formatted(b, b + 3))
                      .toList()));

  @Test
  void a_unigram_with_metaspace_encodes_and_never_finds_special_tokens() throws Exception {
    try (var tokenizer = Tokenizers.fromFile(write(METASPACE))) {
      assertThat(tokenizer.endOfText()).isEqualTo(1);
      assertThat(tokenizer.vocabSize()).isEqualTo(15);
      assertThat(tokenizer.encode("the state 北京")).containsExactly(3, 4, 2, 9, 10);
      assertThat(tokenizer.encode("the</s>the")).doesNotContain(1);
      assertThat(tokenizer.decode(tokenizer.encode("the</s>"))).isEqualTo("the</s>");
      assertThat(tokenizer.decode(new int[] {3, 1, 4})).isEqualTo("the</s> state");
    }
  }

  @Test
  void byte_fallback_gives_whole_characters_in_a_stream() throws Exception {
    try (var tokenizer = Tokenizers.fromFile(write(BYTE_FALLBACK))) {
      assertThat(tokenizer.endOfText()).isEqualTo(2);
      for (String text : Samples.NASTY) {
        int[] ids = tokenizer.encode(text);
        assertThat(ids).doesNotContain(0, 1, 2);
        assertThat(tokenizer.decode(ids)).as(text).isEqualTo(text);
        assertThat(StreamDecoderTest.stream(tokenizer, ids)).as(text).isEqualTo(text);
      }
      StreamDecoder decoder = tokenizer.streamDecoder();
      var pieces = IntStream.of(tokenizer.encode("the 🙂the")).mapToObj(decoder::next).toList();
      assertThat(pieces).contains("the", "🙂the").doesNotContain("\uFFFD");
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void pieces_of_random_ids_join_to_what_decode_gives(boolean byteFallback) throws Exception {
    var random = new Random(5);
    try (var tokenizer = Tokenizers.fromFile(write(byteFallback ? BYTE_FALLBACK : METASPACE))) {
      for (int i = 0; i < 2000; i++) {
        int[] ids =
            random
                .ints(random.nextInt(20), 0, tokenizer.vocabSize())
                .map(id -> random.nextBoolean() ? id : tokenizer.vocabSize() - 1 - id % 8)
                .toArray();
        assertThat(StreamDecoderTest.stream(tokenizer, ids))
            .as(IntStream.of(ids).boxed().toList().toString())
            .isEqualTo(tokenizer.decode(ids));
      }
    }
  }

  @Test
  void models_that_look_up_whole_words_never_find_special_tokens_either() throws Exception {
    String common =
        """
        {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
          {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true}],
         "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null,
         "decoder": %s, "model": %s}
        """;
    String wordLevel =
        "{\"type\": \"WordLevel\", \"vocab\": {\"[UNK]\": 0, \"</s>\": 1, \"the\": 2}, \"unk_token\": \"[UNK]\"}";
    String wordPiece =
        "{\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\","
            + " \"max_input_chars_per_word\": 100, \"vocab\": {\"[UNK]\": 0, \"</s>\": 1, \"the\": 2, \"##se\": 3}}";
    try (var tokenizer = Tokenizers.fromFile(write(common.formatted("null", wordLevel)))) {
      assertThat(tokenizer.encode("the </s> the")).containsExactly(2, 0, 2);
    }
    String ignoringMerges =
        "{\"type\": \"BPE\", \"ignore_merges\": true, \"unk_token\": \"[UNK]\", \"merges\": [],"
            + " \"vocab\": {\"[UNK]\": 0, \"</s>\": 1, \"the\": 2}}";
    try (var tokenizer = Tokenizers.fromFile(write(common.formatted("null", ignoringMerges)))) {
      assertThat(tokenizer.encode("the</s> </s> the")).startsWith(0).endsWith(2).doesNotContain(1);
    }
    String decoder = "{\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}";
    try (var tokenizer = Tokenizers.fromFile(write(common.formatted(decoder, wordPiece)))) {
      assertThat(tokenizer.encode("these </s> the")).containsExactly(2, 3, 0, 2);
      assertThat(tokenizer.decode(new int[] {2, 3, 2})).isEqualTo("these the");
      assertThat(StreamDecoderTest.stream(tokenizer, new int[] {2, 3, 2})).isEqualTo("these the");
    }
  }

  @Test
  void a_lone_surrogate_counts_as_a_replacement_character() throws Exception {
    try (var tokenizer = Tokenizers.fromFile(Samples.golden("tokenizer.json"))) {
      assertThat(tokenizer.encode("a\uD83Db")).containsExactly(tokenizer.encode("a\uFFFDb"));
    }
  }

  @Test
  void an_id_outside_of_the_vocabulary_is_refused() throws Exception {
    for (String json : List.of(BYTE_FALLBACK, Files.readString(Samples.golden("tokenizer.json")))) {
      try (var tokenizer = Tokenizers.fromFile(write(json))) {
        for (int id : new int[] {-1, tokenizer.vocabSize()}) {
          assertThatThrownBy(() -> tokenizer.decode(new int[] {id}))
              .isInstanceOf(IndexOutOfBoundsException.class);
          assertThatThrownBy(() -> tokenizer.streamDecoder().next(id))
              .isInstanceOf(IndexOutOfBoundsException.class);
        }
      }
    }
  }

  @Test
  void a_closed_tokenizer_refuses_to_encode_and_closes_twice() throws Exception {
    var tokenizer = Tokenizers.fromFile(Samples.golden("tokenizer.json"));
    tokenizer.close();
    tokenizer.close();
    assertThatThrownBy(() -> tokenizer.encode("a")).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void another_file_has_another_fingerprint() throws Exception {
    try (var one = Tokenizers.fromFile(write(METASPACE));
        var other = Tokenizers.fromFile(Samples.golden("tokenizer.json"));
        var again = Tokenizers.fromFile(Samples.golden("tokenizer.json"))) {
      assertThat(one.fingerprint()).isNotEqualTo(other.fingerprint());
      assertThat(again.fingerprint()).isEqualTo(other.fingerprint());
    }
  }

  @Test
  void bad_files_are_named_with_what_is_wrong() throws Exception {
    assertInvalid(folder.resolve("none.json"), "cannot read the tokenizer: no such file");
    assertInvalid(folder, "cannot read the tokenizer");
    assertInvalid(write(""), "has no model.vocab");
    assertInvalid(
        write("{"), "not JSON: Unexpected end-of-input: expected close marker for Object");
    assertInvalid(write("[1, 2]"), "has no model.vocab");
    assertInvalid(write("{\"model\": 1}"), "has no model.vocab");
    assertInvalid(write("{\"model\": {\"vocab\": 7}}"), "model.vocab");
    assertInvalid(write("{\"model\": {\"vocab\": {\"a\": -1}}}"), "id");
    assertInvalid(write("{\"model\": {\"vocab\": {\"a\": 2000000000}}}"), "id");
    assertInvalid(write("{\"model\": {\"vocab\": {\"a\": \"x\"}}}"), "id");
    assertInvalid(write("{\"model\": {\"vocab\": {\"a\": 0}}}"), "not a usable tokenizer");
    assertInvalid(
        write("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"</s>\": 0}}}"),
        "not a usable tokenizer");
    Files.write(folder.resolve("latin.json"), new byte[] {'"', (byte) 0xE9, '"'});
    assertInvalid(folder.resolve("latin.json"), "not JSON");
  }

  private static void assertInvalid(Path file, String message) {
    assertThatThrownBy(() -> Tokenizers.fromFile(file))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContaining(message)
        .message()
        .doesNotContain("\n", "Source");
  }

  private static ObjectNode added(int id, String content, boolean special) {
    return JSON.createObjectNode()
        .put("id", id)
        .put("content", content)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", special);
  }

  private Path write(String json) throws Exception {
    return Files.writeString(Files.createTempFile(folder, "tokenizer", ".json"), json);
  }
}
