package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BpeTrainerTest {
  @TempDir private Path folder;

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(ints = {1, 2, 3, 4})
  void learns_what_counting_everything_anew_learns(int seed) {
    var random = new Random(seed);
    List<String> documents =
        Stream.generate(() -> Samples.random(random, random.nextInt(60))).limit(60).toList();
    var vocabulary = new BpeTrainer(400).train(documents.stream());
    assertThat(vocabulary.merges()).isEqualTo(plainMerges(documents, 400));
    assertThat(vocabulary.size()).isEqualTo(257 + vocabulary.merges().size());
  }

  @Test
  void learns_overlapping_pairs_from_the_left() {
    List<String> documents = List.of("aaaaa aaaa aaa aa a", "aaaaaaaaaaaaaaaaaaaa", "abababab");
    assertThat(new BpeTrainer(270).train(documents.stream()).merges())
        .isEqualTo(plainMerges(documents, 270));
  }

  @Test
  void breaks_ties_by_the_smaller_ids() {
    // four pairs occur twice each, and b comes before x
    var merges = new BpeTrainer(258).train(Stream.of("xy", "xy", "bc", "bc")).merges();
    assertThat(merges).containsExactly(new BpeVocabulary.Merge(idOf('b'), idOf('c')));
  }

  @Test
  void stops_where_no_pair_occurs_twice() {
    assertThat(new BpeTrainer(1000).train(Stream.of("abc")).size()).isEqualTo(257);
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(ints = {1, 2})
  void the_file_encodes_as_a_plain_encoder_does_and_back(int seed) {
    var random = new Random(seed);
    List<String> documents = Stream.generate(() -> Samples.random(random, 50)).limit(100).toList();
    var vocabulary = new BpeTrainer(500).train(documents.stream());
    Path file = folder.resolve("tokenizer.json");
    vocabulary.save(file);
    try (var tokenizer = Tokenizers.fromFile(file)) {
      assertThat(tokenizer.vocabSize()).isEqualTo(vocabulary.size());
      assertThat(tokenizer.endOfText()).isZero();
      List<String> texts = new ArrayList<>(Samples.NASTY);
      texts.addAll(documents);
      for (int i = 0; i < 300; i++) {
        texts.add(Samples.random(random, random.nextInt(40)));
      }
      for (String text : texts) {
        int[] ids = tokenizer.encode(text);
        assertThat(ids).as(text).containsExactly(plainEncode(text, vocabulary.merges()));
        assertThat(tokenizer.decode(ids)).isEqualTo(text);
        assertThat(StreamDecoderTest.stream(tokenizer, ids)).isEqualTo(text);
      }
    }
  }

  @Test
  void the_same_text_gives_the_same_bytes() throws Exception {
    Path one = folder.resolve("one.json");
    Path other = folder.resolve("other.json");
    new BpeTrainer(300).train(Samples.NASTY.stream()).save(one);
    new BpeTrainer(300).train(Samples.NASTY.stream()).save(other);
    assertThat(one).hasSameBinaryContentAs(other);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).as("nothing unfinished is left").containsOnly(one, other);
    }
  }

  @Test
  void an_old_file_is_replaced() throws Exception {
    Path file = Files.writeString(folder.resolve("tokenizer.json"), "old");
    new BpeTrainer(300).train(Samples.NASTY.stream()).save(file);
    assertThat(Files.readString(file)).startsWith("{\n  \"version\": \"1.0\",");
  }

  @Test
  void looks_at_no_more_text_than_asked() {
    var seen = new ArrayList<String>();
    Stream<String> endless = Stream.iterate("some text", text -> text).peek(seen::add);
    new BpeTrainer(260, 100).train(endless);
    assertThat(seen).hasSizeBetween(12, 13);
  }

  @Test
  void too_small_a_vocabulary_is_refused() {
    assertThatThrownBy(() -> new BpeTrainer(256))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining("vocabulary size 256: too small")
        .hasMessageContaining("at least 257");
  }

  @Test
  void no_text_is_refused() {
    assertThatThrownBy(() -> new BpeTrainer(300).train(Stream.of("", "")))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining("no text");
  }

  @Test
  void one_long_word_is_learned_in_time() {
    var random = new Random(6);
    var letters = new StringBuilder();
    for (int i = 0; i < 1 << 20; i++) {
      letters.append("ACGT".charAt(random.nextInt(4)));
    }
    var vocabulary = new BpeTrainer(2000).train(Stream.of(letters.toString()));
    assertThat(vocabulary.size()).isEqualTo(2000);
  }

  private static int idOf(char letter) {
    return 1 + new String(ByteLetters.sorted()).indexOf(letter);
  }

  private static List<Integer> bytesOf(String word) {
    List<Integer> ids = new ArrayList<>();
    for (byte b : word.getBytes(StandardCharsets.UTF_8)) {
      ids.add(idOf(ByteLetters.letter(b & 0xFF)));
    }
    return ids;
  }

  /// The definition: count all pairs of all words, merge the best, and again.
  private static List<BpeVocabulary.Merge> plainMerges(List<String> documents, int vocabSize) {
    Map<String, Integer> counts = new TreeMap<>();
    for (String document : documents) {
      for (String word : WordsTest.words(document)) {
        counts.merge(word, 1, Integer::sum);
      }
    }
    Map<String, List<Integer>> words = new HashMap<>();
    counts.keySet().forEach(word -> words.put(word, bytesOf(word)));
    List<BpeVocabulary.Merge> merges = new ArrayList<>();
    while (257 + merges.size() < vocabSize) {
      Map<BpeVocabulary.Merge, Integer> pairs = new HashMap<>();
      words.forEach((word, ids) -> {
        for (int i = 0; i + 1 < ids.size(); i++) {
          pairs.merge(
              new BpeVocabulary.Merge(ids.get(i), ids.get(i + 1)),
              counts.getOrDefault(word, 0),
              Integer::sum);
        }
      });
      BpeVocabulary.Merge best = null;
      int most = 1;
      for (var pair : pairs.entrySet()) {
        var merge = pair.getKey();
        boolean smaller =
            best != null
                && (merge.first() < best.first()
                    || (merge.first() == best.first() && merge.second() < best.second()));
        if (pair.getValue() > most || (pair.getValue() == most && smaller)) {
          best = merge;
          most = pair.getValue();
        }
      }
      if (best == null) {
        break;
      }
      int merged = 257 + merges.size();
      merges.add(best);
      for (List<Integer> ids : words.values()) {
        apply(best, merged, ids);
      }
    }
    return merges;
  }

  private static void apply(BpeVocabulary.Merge merge, int merged, List<Integer> ids) {
    for (int i = 0; i + 1 < ids.size(); i++) {
      if (ids.get(i) == merge.first() && ids.get(i + 1) == merge.second()) {
        ids.set(i, merged);
        ids.remove(/* index */ i + 1);
      }
    }
  }

  /// The definition: in each word, apply the earliest merge that fits, leftmost first, and again.
  private static int[] plainEncode(String text, List<BpeVocabulary.Merge> merges) {
    return WordsTest.words(text).stream()
        .flatMapToInt(word -> {
          List<Integer> ids = bytesOf(word);
          for (int i = 0; i < merges.size(); i++) {
            apply(merges.get(i), 257 + i, ids);
          }
          return ids.stream().mapToInt(Integer::intValue);
        })
        .toArray();
  }

  @Test
  void every_byte_has_a_letter_of_its_own() {
    assertThat(IntStream.range(0, 256).map(ByteLetters::letter).distinct()).hasSize(256);
    for (int b = 0; b < 256; b++) {
      assertThat(ByteLetters.bytesOf(String.valueOf(ByteLetters.letter(b))))
          .containsExactly((byte) b);
    }
  }
}
