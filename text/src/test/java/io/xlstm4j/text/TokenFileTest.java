package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.text.Samples.MemoryCorpus;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenFileTest {
  private static final int END = 256;

  @TempDir private Path folder;

  private final Tokenizer bytes = Tokenizers.builtIn("bytes");

  @Test
  void each_document_begins_with_an_end_of_text_and_one_ends_the_file() throws Exception {
    try (var tokens = Samples.tokenFile(folder, "ab", "", "é")) {
      assertThat(ids(tokens)).containsExactly(END, 'a', 'b', END, END, 0xC3, 0xA9, END);
      assertThat(tokens.documents()).isEqualTo(3);
      assertThat(tokens.textBytes()).isEqualTo(4);
      assertThat(tokens.endOfText()).isEqualTo(END);
      assertThat(tokens.vocabSize()).isEqualTo(257);
    }
  }

  @Test
  void no_token_of_many_documents_is_lost() throws Exception {
    var random = new Random(7);
    var expected = new IntList();
    List<String> texts = new ArrayList<>();
    long textBytes = 0;
    for (int i = 0; i < 9000; i++) { // several batches
      String text = Samples.random(random, random.nextInt(60));
      texts.add(text);
      expected.add(END);
      expected.addAll(bytes.encode(text));
      textBytes += bytes.encode(text).length;
    }
    expected.add(END);
    try (var tokens = Samples.tokenFile(folder, texts.toArray(new String[0]))) {
      assertThat(ids(tokens)).isEqualTo(expected.toArray());
      assertThat(tokens.textBytes()).isEqualTo(textBytes);
      assertThat(tokens.documents()).isEqualTo(9000);
    }
  }

  @Test
  void a_large_vocabulary_takes_four_bytes_for_each_id() throws Exception {
    Path path = folder.resolve("wide.bin");
    TokenFile.build(MemoryCorpus.of("ab"), Split.TRAIN, new WideTokenizer(), path);
    try (var tokens = TokenFile.open(path)) {
      assertThat(ids(tokens)).containsExactly(99_999, 70_000 + 'a', 70_000 + 'b', 99_999);
    }
    assertThat(Files.size(path)).isEqualTo(128 + 4 * 4);
  }

  @Test
  void a_place_outside_of_the_file_is_refused() throws Exception {
    try (var tokens = Samples.tokenFile(folder, "ab")) {
      assertThatThrownBy(() -> tokens.get(-1)).isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> tokens.get(4)).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void a_closed_file_refuses_to_read_and_closes_twice() throws Exception {
    var tokens = Samples.tokenFile(folder, "ab");
    tokens.close();
    tokens.close();
    assertThatThrownBy(() -> tokens.get(0)).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void a_file_of_the_same_corpus_and_tokenizer_is_not_made_again() throws Exception {
    Path path = folder.resolve("tokens.bin");
    var corpus = MemoryCorpus.of("ab");
    TokenFile.openOrBuild(corpus, Split.TRAIN, bytes, path).close();
    var longAgo = FileTime.fromMillis(1_000_000_000_000L);
    Files.setLastModifiedTime(path, longAgo);
    TokenFile.openOrBuild(corpus, Split.TRAIN, bytes, path).close();
    assertThat(Files.getLastModifiedTime(path)).isEqualTo(longAgo);
  }

  @Test
  void a_file_of_another_corpus_tokenizer_or_part_is_made_again() throws Exception {
    Path path = folder.resolve("tokens.bin");
    TokenFile.build(MemoryCorpus.of("old"), Split.TRAIN, bytes, path);
    try (var tokens = TokenFile.openOrBuild(MemoryCorpus.of("new"), Split.TRAIN, bytes, path)) {
      assertThat(ids(tokens)).containsExactly(END, 'n', 'e', 'w', END);
    }
    try (var gpt2 = Tokenizers.builtIn("gpt2");
        var tokens = TokenFile.openOrBuild(MemoryCorpus.of("new"), Split.TRAIN, gpt2, path)) {
      assertThat(ids(tokens)).containsExactly(50_256, 3605, 50_256);
      try (var other =
          TokenFile.openOrBuild(MemoryCorpus.of("new"), Split.VALIDATION, gpt2, path)) {
        assertThat(other.fingerprint()).isNotEqualTo(tokens.fingerprint());
      }
    }
  }

  @Test
  void a_damaged_file_is_named_and_made_again() throws Exception {
    Path path = folder.resolve("tokens.bin");
    var corpus = MemoryCorpus.of("some text", "more");
    TokenFile.build(corpus, Split.TRAIN, bytes, path);
    byte[] good = Files.readAllBytes(path);
    for (int i = 8; i < good.length; i++) { // every bit of every byte counts
      byte[] bad = good.clone();
      bad[i] ^= (byte) (1 << i % 8);
      Files.write(path, bad);
      assertDamaged(path);
    }
    for (int length : new int[] {8, 127, 128, good.length - 1}) {
      Files.write(path, Arrays.copyOf(good, length));
      assertDamaged(path);
    }
    Files.write(path, Arrays.copyOf(good, good.length + 2));
    assertDamaged(path);
    TokenFile.openOrBuild(corpus, Split.TRAIN, bytes, path).close();
    assertThat(Files.readAllBytes(path)).isEqualTo(good);
  }

  private static void assertDamaged(Path path) {
    assertThatThrownBy(() -> TokenFile.open(path))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageStartingWith(path + ": the token file is damaged: ")
        .hasMessageEndingWith("; remove it and it will be made again");
  }

  @Test
  void a_file_that_is_something_else_is_left_alone() throws Exception {
    for (String text : List.of("", "XLSTM", "my novel, in full, on one page")) {
      Path path = Files.writeString(folder.resolve("novel.txt"), text);
      assertThatThrownBy(() -> TokenFile.open(path))
          .isInstanceOf(InvalidTextException.class)
          .hasMessage(path + ": not a token file; give another path or remove the file");
      assertThatThrownBy(
              () -> TokenFile.openOrBuild(MemoryCorpus.of("a"), Split.TRAIN, bytes, path))
          .isInstanceOf(InvalidTextException.class);
      assertThat(path).hasContent(text);
    }
  }

  @Test
  void a_missing_file_is_named() {
    Path path = folder.resolve("none.bin");
    assertThatThrownBy(() -> TokenFile.open(path))
        .isInstanceOf(InvalidTextException.class)
        .hasMessage(path + ": cannot read the token file: no such file or folder");
    assertThatThrownBy(
            () -> TokenFile.openOrBuild(MemoryCorpus.of("a"), Split.TRAIN, bytes, folder))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining(folder.toString());
  }

  @Test
  void a_failure_leaves_the_old_file_and_nothing_else() throws Exception {
    Path path = folder.resolve("tokens.bin");
    TokenFile.build(MemoryCorpus.of("old"), Split.TRAIN, bytes, path);
    byte[] old = Files.readAllBytes(path);
    assertThatThrownBy(() -> TokenFile.build(MemoryCorpus.of(), Split.VALIDATION, bytes, path))
        .isInstanceOf(InvalidTextException.class)
        .hasMessage("memory: there is no document for validation");
    Corpus failing =
        new Corpus() {
          @Override
          public String name() {
            return "failing";
          }

          @Override
          public Stream<String> documents(Split split) {
            return Stream.iterate(0, i -> i + 1).map(i -> text(i));
          }

          private String text(int i) {
            if (i > 10_000) {
              throw new InvalidTextException("line 10001: not UTF-8");
            }
            return "text";
          }

          @Override
          public String fingerprint() {
            return "";
          }
        };
    assertThatThrownBy(() -> TokenFile.build(failing, Split.TRAIN, bytes, path))
        .hasMessage("line 10001: not UTF-8");
    assertThat(Files.readAllBytes(path)).isEqualTo(old);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).containsExactly(path);
    }
  }

  @Test
  void a_folder_that_is_missing_is_made() throws IOException {
    Path path = folder.resolve("a/b/tokens.bin");
    TokenFile.openOrBuild(MemoryCorpus.of("a"), Split.TRAIN, bytes, path).close();
    assertThat(path).exists();
  }

  @Test
  void a_corpus_is_encoded_whole_and_decodes_to_its_text() throws Exception {
    Path tokenizerJson = folder.resolve("tokenizer.json");
    Corpus corpus = Corpora.open("wordnet");
    try (Stream<String> documents = corpus.documents(Split.VALIDATION)) {
      new BpeTrainer(2000).train(documents).save(tokenizerJson);
    }
    try (var tokenizer = Tokenizers.fromFile(tokenizerJson);
        var tokens =
            TokenFile.openOrBuild(
                corpus, Split.VALIDATION, tokenizer, folder.resolve("valid.bin"));
        Stream<String> documents = corpus.documents(Split.VALIDATION)) {
      String all = String.join("<|endoftext|>", documents.toList());
      assertThat(tokenizer.decode(ids(tokens))).isEqualTo("<|endoftext|>" + all + "<|endoftext|>");
      assertThat(tokens.size()).isLessThan(all.length() / 3);
    }
  }

  private static int[] ids(TokenFile tokens) {
    return LongStream.range(0, tokens.size()).mapToInt(tokens::get).toArray();
  }

  /// Bytes, with ids that do not fit into 16 bits.
  private static final class WideTokenizer implements Tokenizer {
    private final Tokenizer bytes = Tokenizers.builtIn("bytes");

    @Override
    public String name() {
      return "wide";
    }

    @Override
    public String fingerprint() {
      return "wide";
    }

    @Override
    public int vocabSize() {
      return 100_000;
    }

    @Override
    public int endOfText() {
      return 99_999;
    }

    @Override
    public int[] encode(String text) {
      return Arrays.stream(bytes.encode(text)).map(id -> id + 70_000).toArray();
    }

    @Override
    public String decode(int[] ids) {
      throw new UnsupportedOperationException();
    }

    @Override
    public StreamDecoder streamDecoder() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void close() {}
  }
}
