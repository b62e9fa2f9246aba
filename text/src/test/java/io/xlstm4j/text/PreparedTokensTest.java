package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.text.Samples.MemoryCorpus;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PreparedTokensTest {
  private static final int END = 256;

  private static final Preparation.Listener NOBODY =
      new Preparation.Listener() {
        @Override
        public void onStage(String what) {}

        @Override
        public void onDocument(Split split, long documents, long textBytes, long tokens) {}
      };

  @TempDir private Path folder;

  private Path out() {
    return folder.resolve("out");
  }

  private static Preparation bytes(Corpus corpus, long shardTokens) {
    return new Preparation(corpus, "bytes", 300, shardTokens);
  }

  private static MemoryCorpus random(int documents, int pieces) {
    var random = new Random(documents);
    String[] texts = new String[documents];
    Arrays.setAll(texts, i -> i % 9 == 8 ? "" : Samples.random(random, random.nextInt(pieces + 1)));
    return MemoryCorpus.of(texts);
  }

  @ParameterizedTest(name = "{0} documents up to {1} in shards of {2}")
  @CsvSource({
    "1,0,1",
    "1,20,1",
    "1,20,1000000",
    "7,5,1",
    "50,20,1",
    "50,20,2",
    "50,20,37",
    "50,20,1000000000",
    "6000,6,10000"
  })
  void shards_are_the_one_file_cut_at_documents(int documents, int pieces, long shardTokens)
      throws Exception {
    var corpus = random(documents, pieces);
    assertThat(bytes(corpus, shardTokens).run(out(), NOBODY))
        .isEqualTo(Preparation.Outcome.PREPARED);
    try (var prepared = PreparedTokens.open(out());
        var bytes = Tokenizers.builtIn("bytes");
        var one = TokenFile.openOrBuild(corpus, Split.TRAIN, bytes, folder.resolve("one"))) {
      prepared.verify();
      Tokens tokens = prepared.tokens(Split.TRAIN);
      int[] all = ids(one);
      assertThat(ids(tokens)).isEqualTo(all);
      assertThat(tokens.documents()).isEqualTo(one.documents());
      assertThat(tokens.textBytes()).isEqualTo(one.textBytes());
      assertThat(tokens.endOfText()).isEqualTo(END);
      assertThat(tokens.vocabSize()).isEqualTo(257);
      assertThat(tokens.fingerprint()).isEqualTo(one.fingerprint());
      assertThat(tokens.tokenizerFingerprint()).isEqualTo(one.tokenizerFingerprint());
      assertThat(prepared.tokens(Split.VALIDATION).fingerprint()).isNotEqualTo(one.fingerprint());

      var random = new Random(1);
      for (int i = 0; i < 200; i++) {
        int from = random.nextInt(all.length + 1);
        int count = random.nextInt(all.length - from + 1);
        int[] some = new int[count + 3];
        tokens.read(from, some, 2, count);
        assertThat(Arrays.copyOfRange(some, 2, 2 + count))
            .isEqualTo(Arrays.copyOfRange(all, from, from + count));
      }
      var batches = new Batches(tokens, 3, 5, 1);
      assertThat(batches.fingerprint()).isEqualTo(new Batches(one, 3, 5, 1).fingerprint());
      for (int number = 0; number < 20; number++) {
        assertThat(batches.batch(number))
            .usingRecursiveComparison()
            .isEqualTo(new Batches(one, 3, 5, 1).batch(number));
        assertThat(new DocumentBatches(tokens, 3, 5, 1).batch(number))
            .usingRecursiveComparison()
            .isEqualTo(new DocumentBatches(one, 3, 5, 1).batch(number));
      }
    }
  }

  @Test
  void a_shard_ends_with_the_document_that_fills_it() throws Exception {
    bytes(MemoryCorpus.of("ab", "c", "", "defghi", "j"), 5).run(out(), NOBODY);
    try (var prepared = PreparedTokens.open(out())) {
      assertThat(prepared.shards(Split.TRAIN)).isEqualTo(3); // E a b E c, E E d e f g h i, E j E
      assertThat(Files.size(out().resolve("train-00000.tokens"))).isEqualTo(128 + 2 * 5);
      assertThat(Files.size(out().resolve("train-00001.tokens"))).isEqualTo(128 + 2 * 8);
      assertThat(Files.size(out().resolve("train-00002.tokens"))).isEqualTo(128 + 2 * 3);
    }
    assertThat(names(out()))
        .containsExactly(
            "tokens.json",
            "train-00000.tokens",
            "train-00001.tokens",
            "train-00002.tokens",
            "validation-00000.tokens",
            "validation-00001.tokens",
            "validation-00002.tokens");
    assertThat(names(folder)).containsExactly("out");
  }

  @Test
  void places_outside_are_refused() throws Exception {
    bytes(MemoryCorpus.of("ab", "c"), 1).run(out(), NOBODY);
    try (var prepared = PreparedTokens.open(out())) {
      Tokens tokens = prepared.tokens(Split.TRAIN);
      assertThat(tokens.size()).isEqualTo(6);
      assertThatThrownBy(() -> tokens.get(6)).isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> tokens.get(-1)).isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> tokens.read(3, new int[9], 0, 4))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> tokens.read(0, new int[3], 1, 3))
          .isInstanceOf(IndexOutOfBoundsException.class);
      tokens.read(6, new int[0], 0, 0);
    }
  }

  @Test
  void a_shard_that_was_altered_is_named() throws Exception {
    bytes(MemoryCorpus.of("ab", "cde", "f"), 1).run(out(), NOBODY);
    Path shard = out().resolve("train-00001.tokens");
    byte[] good = Files.readAllBytes(shard);
    for (int i = 0; i < good.length; i++) { // every bit of every byte counts
      byte[] bad = good.clone();
      bad[i] ^= (byte) (1 << i % 8);
      Files.write(shard, bad);
      assertRefused(shard.toString(), "; remove the folder and prepare it again");
    }
    for (int length : new int[] {0, 7, 8, 127, 128, good.length - 1, good.length + 2}) {
      Files.write(shard, Arrays.copyOf(good, length));
      assertRefused(shard.toString());
    }
    Files.delete(shard);
    assertRefused(shard + ": cannot read the shard: no such file or folder");
    for (String other : List.of("train-00000.tokens", "validation-00001.tokens")) {
      Files.copy(out().resolve(other), shard, StandardCopyOption.REPLACE_EXISTING);
      assertRefused(shard + ": not the shard that tokens.json says");
    }
    Files.write(shard, good);
    PreparedTokens.open(out()).close();
  }

  @Test
  void verifying_compares_what_checksums_may_miss() throws Exception {
    bytes(MemoryCorpus.of("ab"), 1).run(out(), NOBODY);
    Path manifest = out().resolve("tokens.json");
    String json = Files.readString(manifest);
    Files.writeString(manifest, json.replaceFirst("\"sha256\" : \"....", "\"sha256\" : \"beef"));
    try (var prepared = PreparedTokens.open(out())) {
      assertThatThrownBy(prepared::verify)
          .isInstanceOf(InvalidTextException.class)
          .hasMessageStartingWith(out().resolve("train-00000.tokens") + ": SHA-256 is ")
          .hasMessageContaining("tokens.json says beef");
    }
  }

  @Test
  void a_manifest_that_is_wrong_is_named() throws Exception {
    bytes(MemoryCorpus.of("ab"), 1).run(out(), NOBODY);
    Path manifest = out().resolve("tokens.json");
    String json = Files.readString(manifest);
    for (String bad :
        List.of(
            "",
            "null",
            "{",
            "[]",
            json + "x",
            json.replace("xlstm4j tokens", "other tokens"),
            json.replace("\"version\" : 1", "\"version\" : 2"),
            json.replace("\"version\" : 1", "\"version\" : \"one\""),
            json.replace("\"built_in\"", "\"builtin\""),
            json.replace("\"name\" : \"memory\"", "\"name\" : null"),
            json.replace("train-00000.tokens", "../train-00000.tokens"),
            json.replace("\"documents\" : 1", "\"documents\" : 2"),
            json.replaceAll("(?s)\"shards\" : \\[.*?\\]", "\"shards\" : []"))) {
      Files.writeString(manifest, bad);
      assertRefused(out().toString());
    }
  }

  private void assertRefused(String... parts) {
    assertThatThrownBy(() -> PreparedTokens.open(out()).close())
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContainingAll(parts)
        .hasMessageNotContaining("\n");
  }

  @Test
  void an_interrupted_preparation_leaves_no_folder_and_is_gone_on_with() throws Exception {
    var corpus = random(60, 9);
    bytes(corpus, 50).run(folder.resolve("whole"), NOBODY);
    Map<String, byte[]> whole = contents(folder.resolve("whole"));
    for (int failing : new int[] {1, 20, 59}) {
      // batches of documents are encoded before they are written, so documents must be fetched late
      Corpus broken = new FailingCorpus(corpus, failing);
      assertThatThrownBy(() -> bytes(broken, 50).run(out(), NOBODY)).hasMessage("pulled the plug");
      assertThat(out()).doesNotExist();
      bytes(corpus, 50).run(out(), NOBODY);
      assertThat(contents(out())).usingRecursiveComparison().isEqualTo(whole);
      assertThat(folder.resolve("out.unfinished")).doesNotExist();
      delete(out());
    }
  }

  @Test
  void what_is_finished_is_not_encoded_again() throws Exception {
    var corpus = random(60, 9);
    bytes(corpus, 50).run(folder.resolve("whole"), NOBODY);
    // as it is left when the machine stops in the middle of the third shard
    Path work = Files.createDirectories(folder.resolve("out.unfinished"));
    assertThatThrownBy(() -> bytes(corpus, 50).run(out(), failAfter(Split.VALIDATION, 30)))
        .hasMessage("pulled the plug");
    assertThat(names(work)).contains("plan.txt", "train-00000.tokens", "validation-00000.tokens");
    assertThat(names(work)).doesNotContain("tokens.json").noneMatch(n -> n.contains("unfinished-"));
    Files.writeString(work.resolve("validation-00003.tokens.unfinished-123-1"), "half");
    byte[] damaged = Files.readAllBytes(work.resolve("train-00001.tokens"));
    damaged[130]++;
    Files.write(work.resolve("train-00001.tokens"), damaged);
    long[] encoded = new long[Split.values().length];
    var counting =
        new Preparation.Listener() {
          @Override
          public void onStage(String what) {}

          @Override
          public void onDocument(Split split, long documents, long textBytes, long tokens) {
            encoded[split == Split.TRAIN ? 0 : 1]++;
          }
        };
    assertThat(bytes(corpus, 50).run(out(), counting)).isEqualTo(Preparation.Outcome.CONTINUED);
    assertThat(encoded[0]).isBetween(1L, 59L);
    assertThat(encoded[1]).isBetween(1L, 59L);
    assertThat(contents(out()))
        .usingRecursiveComparison()
        .isEqualTo(contents(folder.resolve("whole")));
  }

  @Test
  void another_plan_starts_anew() throws Exception {
    var corpus = random(60, 9);
    assertThatThrownBy(() -> bytes(corpus, 50).run(out(), failAfter(Split.TRAIN, 30)))
        .hasMessage("pulled the plug");
    assertThat(bytes(corpus, 51).run(out(), NOBODY)).isEqualTo(Preparation.Outcome.PREPARED);
    bytes(corpus, 51).run(folder.resolve("whole"), NOBODY);
    assertThat(contents(out()))
        .usingRecursiveComparison()
        .isEqualTo(contents(folder.resolve("whole")));
  }

  @Test
  void tokens_that_are_there_are_not_made_again_and_others_are_not_overwritten() throws Exception {
    var corpus = MemoryCorpus.of("ab", "c");
    bytes(corpus, 1).run(out(), NOBODY);
    Map<String, byte[]> before = contents(out());
    assertThat(bytes(corpus, 1000).run(out(), NOBODY)).isEqualTo(Preparation.Outcome.ALREADY_THERE);
    assertThatThrownBy(() -> bytes(MemoryCorpus.of("abc"), 1).run(out(), NOBODY))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining(
            "holds the tokens of memory (bytes), not of memory (bytes); the text");
    assertThatThrownBy(() -> new Preparation(corpus, "gpt2", 0, 1).run(out(), NOBODY))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining("holds the tokens of memory (bytes), not of memory (gpt2); give");
    assertThat(contents(out())).usingRecursiveComparison().isEqualTo(before);
  }

  @Test
  void a_folder_with_something_else_is_left_alone() throws Exception {
    var corpus = MemoryCorpus.of("ab");
    Files.createDirectories(out());
    Path novel = Files.writeString(out().resolve("novel.txt"), "chapter one");
    assertThatThrownBy(() -> bytes(corpus, 1).run(out(), NOBODY))
        .hasMessageContaining("is there and holds no prepared tokens");
    assertThatThrownBy(() -> bytes(corpus, 1).run(novel, NOBODY))
        .hasMessageContaining("is there and holds no prepared tokens");
    Path work = Files.createDirectories(folder.resolve("new.unfinished"));
    Path other = Files.writeString(work.resolve("notes.txt"), "mine");
    assertThatThrownBy(() -> bytes(corpus, 1).run(folder.resolve("new"), NOBODY))
        .hasMessageStartingWith(other + ": in the way");
    assertThat(other).hasContent("mine");
    assertThat(novel).hasContent("chapter one");
    Files.createDirectories(folder.resolve("empty"));
    assertThat(bytes(corpus, 1).run(folder.resolve("empty"), NOBODY))
        .isEqualTo(Preparation.Outcome.PREPARED);
  }

  @Test
  void a_failure_before_anything_is_done_leaves_nothing() throws Exception {
    assertThatThrownBy(() -> bytes(MemoryCorpus.of(), 1).run(out(), NOBODY))
        .hasMessage("memory: there is no document for train");
    assertThatThrownBy(
            () -> new Preparation(MemoryCorpus.of("a"), "nosuch", 0, 1).run(out(), NOBODY))
        .hasMessageContaining("tokenizer (nosuch) must be bpe, bytes, gpt2 or the path");
    assertThatThrownBy(
            () -> new Preparation(MemoryCorpus.of("a"), "bpe", 256, 1).run(out(), NOBODY))
        .hasMessageContaining("vocabulary size 256: too small");
    assertThat(names(folder)).isEmpty();
  }

  @Test
  void two_preparations_do_not_write_one_folder() throws Exception {
    Path work = Files.createDirectories(folder.resolve("out.unfinished"));
    try (var channel =
            FileChannel.open(
                work.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        var _ = channel.lock()) {
      assertThatThrownBy(() -> bytes(MemoryCorpus.of("a"), 1).run(out(), NOBODY))
          .isInstanceOf(InvalidTextException.class)
          .hasMessageContaining("another program is preparing there");
      assertThat(work.resolve("lock")).exists();
    }
    bytes(MemoryCorpus.of("a"), 1).run(out(), NOBODY);
  }

  @Test
  void a_trained_or_given_tokenizer_lies_in_the_folder() throws Exception {
    var corpus = random(60, 30);
    new Preparation(corpus, "bpe", 300, 100).run(out(), NOBODY);
    Path file = out().resolve("tokenizer.json");
    Path again = folder.resolve("again");
    new Preparation(corpus, file.toString(), 0, 100).run(again, NOBODY);
    assertThat(again.resolve("tokenizer.json")).hasSameBinaryContentAs(file);
    try (var one = PreparedTokens.open(out());
        var two = PreparedTokens.open(again)) {
      assertThat(one.builtInTokenizer()).isNull();
      assertThat(one.tokenizer().vocabSize()).isEqualTo(300);
      assertThat(ids(one.tokens(Split.TRAIN))).isEqualTo(ids(two.tokens(Split.TRAIN)));
    }
    Path golden = Samples.golden("tokenizer.json");
    Files.copy(golden, file, StandardCopyOption.REPLACE_EXISTING);
    assertRefused(file + ": not the tokenizer that the tokens were made with");
  }

  @Test
  void a_large_vocabulary_takes_four_bytes_and_a_small_one_two() throws Exception {
    bytes(MemoryCorpus.of("abcd"), 1).run(out(), NOBODY);
    assertThat(Files.size(out().resolve("train-00000.tokens"))).isEqualTo(128 + 2 * 6);
    assertThat(TokenHeader.widthFor(65_536)).isEqualTo(2);
    assertThat(TokenHeader.widthFor(65_537)).isEqualTo(4);
  }

  @Test
  void a_prepared_folder_is_a_corpus_of_the_same_text() throws Exception {
    var corpus = random(40, 20);
    new Preparation(corpus, "bpe", 300, 100).run(out(), NOBODY);
    Corpus decoded = Corpora.open(out().toString());
    try (Stream<String> texts = decoded.documents(Split.TRAIN)) {
      assertThat(texts.toList())
          .isEqualTo(corpus.texts().stream().filter(text -> !text.isEmpty()).toList());
    }
    assertThat(decoded.fingerprint()).isEqualTo(Corpora.open(out().toString()).fingerprint());
  }

  private static Preparation.Listener failAfter(Split failing, long documents) {
    return new Preparation.Listener() {
      @Override
      public void onStage(String what) {}

      @Override
      public void onDocument(Split split, long done, long textBytes, long tokens) {
        if (split == failing && done == documents) {
          throw new IllegalStateException("pulled the plug");
        }
      }
    };
  }

  /// Has the documents and the fingerprint of another, but breaks off.
  private record FailingCorpus(MemoryCorpus whole, int documents) implements Corpus {
    @Override
    public String name() {
      return whole.name();
    }

    @Override
    public Stream<String> documents(Split split) {
      return whole.texts().stream()
          .limit(documents + 1L)
          .peek(text -> {
            if (text.equals(whole.texts().get(documents))) {
              throw new IllegalStateException("pulled the plug");
            }
          });
    }

    @Override
    public String fingerprint() {
      return whole.fingerprint();
    }
  }

  private static int[] ids(Tokens tokens) {
    return LongStream.range(0, tokens.size()).mapToInt(tokens::get).toArray();
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return new ArrayList<>(files.map(file -> file.getFileName().toString()).sorted().toList());
    }
  }

  private static Map<String, byte[]> contents(Path folder) throws IOException {
    Map<String, byte[]> contents = new TreeMap<>();
    for (String name : names(folder)) {
      contents.put(name, Files.readAllBytes(folder.resolve(name)));
    }
    return contents;
  }

  private static void delete(Path folder) throws IOException {
    for (String name : names(folder)) {
      Files.delete(folder.resolve(name));
    }
    Files.delete(folder);
  }
}
