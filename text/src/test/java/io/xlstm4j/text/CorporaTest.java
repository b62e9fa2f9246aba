package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CorporaTest {
  @TempDir private Path folder;

  @Test
  void a_folder_gives_its_two_files() throws Exception {
    Files.writeString(folder.resolve("train.txt"), "one\n<|endoftext|>\ntwo\n<|endoftext|>\n");
    Files.writeString(folder.resolve("valid.txt"), "three");
    Corpus corpus = Corpora.open(folder.toString());
    assertThat(documents(corpus, Split.TRAIN)).containsExactly("one", "two");
    assertThat(documents(corpus, Split.VALIDATION)).containsExactly("three");
  }

  @Test
  void a_folder_without_its_files_is_refused() throws Exception {
    assertInvalid(folder.toString(), "the folder has no train.txt");
    Files.writeString(folder.resolve("train.txt"), "a");
    assertInvalid(folder.toString(), "the folder has no valid.txt");
    Files.writeString(folder.resolve("valid.txt"), "");
    Corpus corpus = Corpora.open(folder.toString());
    assertThatThrownBy(() -> corpus.documents(Split.VALIDATION))
        .isInstanceOf(InvalidTextException.class)
        .hasMessage(folder.resolve("valid.txt") + ": there is no text in the file");
  }

  @Test
  void a_folder_may_name_its_two_files_as_tiny_stories_does() throws Exception {
    String text = "Once upon a time.\n\nThe end.\n<|endoftext|>\nAnother.\n<|endoftext|>\n";
    Files.writeString(folder.resolve("TinyStoriesV2-GPT4-train.txt"), text);
    assertInvalid(folder.toString(), "the folder has no train.txt");
    Files.writeString(folder.resolve("TinyStoriesV2-GPT4-valid.txt"), "Held back.");
    for (String spec : List.of(folder.toString(), folder + "/TinyStoriesV2-GPT4")) {
      Corpus corpus = Corpora.open(spec);
      assertThat(documents(corpus, Split.TRAIN))
          .containsExactly("Once upon a time.\n\nThe end.", "Another.");
      assertThat(documents(corpus, Split.VALIDATION)).containsExactly("Held back.");
      assertThat(corpus.name()).startsWith(folder.toString());
      assertThat(corpus.approximateBytes(Split.TRAIN)).isEqualTo(text.length());
    }
    Files.writeString(folder.resolve("TinyStories-train.txt"), "old");
    Files.writeString(folder.resolve("TinyStories-valid.txt"), "older");
    assertInvalid(
        folder.toString(),
        "the folder has several corpora; give one of them: "
            + folder.resolve("TinyStories")
            + ", "
            + folder.resolve("TinyStoriesV2-GPT4"));
    assertThat(documents(Corpora.open(folder + "/TinyStories"), Split.TRAIN))
        .containsExactly("old");
  }

  @Test
  void a_file_is_split_into_all_of_its_documents() throws Exception {
    List<String> all = IntStream.range(0, 1000).mapToObj(i -> "document " + i).toList();
    Path file = write("text.txt", String.join("<|endoftext|>", all));
    Corpus corpus = Corpora.open(file.toString());
    List<String> validation = documents(corpus, Split.VALIDATION);
    List<String> both = new ArrayList<>(documents(corpus, Split.TRAIN));
    assertThat(validation).hasSizeBetween(25, 80).doesNotContainAnyElementsOf(both);
    both.addAll(validation);
    assertThat(both).containsExactlyInAnyOrderElementsOf(all);
    assertThat(documents(corpus, Split.VALIDATION)).as("again").isEqualTo(validation);
  }

  @Test
  void a_document_stays_on_its_side_when_others_come() throws Exception {
    List<String> few = IntStream.range(0, 500).mapToObj(i -> "document " + i).toList();
    List<String> more = IntStream.range(0, 900).mapToObj(i -> "document " + (899 - i)).toList();
    Corpus small = Corpora.open(write("few.txt", String.join("<|endoftext|>", few)).toString());
    Corpus large = Corpora.open(write("more.txt", String.join("<|endoftext|>", more)).toString());
    assertThat(documents(large, Split.VALIDATION)).containsAll(documents(small, Split.VALIDATION));
  }

  @Test
  void two_documents_make_two_sides_whatever_they_hash_to() throws Exception {
    for (int i = 0; i < 300; i++) {
      Path file = write("two.txt", "first " + i + "<|endoftext|>second " + i);
      Corpus corpus = Corpora.open(file.toString());
      assertThat(documents(corpus, Split.TRAIN)).hasSize(1);
      assertThat(documents(corpus, Split.VALIDATION)).hasSize(1);
    }
  }

  @Test
  void two_equal_documents_make_two_sides() throws Exception {
    for (int i = 0; i < 100; i++) { // both hash alike, to either side
      Path file = write("equal.txt", "equal " + i + "<|endoftext|>equal " + i);
      Corpus corpus = Corpora.open(file.toString());
      assertThat(documents(corpus, Split.TRAIN)).containsExactly("equal " + i);
      assertThat(documents(corpus, Split.VALIDATION)).containsExactly("equal " + i);
    }
  }

  @Test
  void no_text_is_refused() throws Exception {
    Corpus none = Corpora.open(write("none.txt", "").toString());
    assertThatThrownBy(() -> none.documents(Split.TRAIN))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining("none.txt: there is no text");
    Corpus letter = Corpora.open(write("letter.txt", "a").toString());
    assertThatThrownBy(() -> letter.documents(Split.TRAIN))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining("letter.txt: there is only one character");
  }

  @Test
  void a_text_without_blank_lines_is_split_by_position_at_a_line_end() throws Exception {
    var text = new StringBuilder();
    for (int i = 0; i < 3000; i++) {
      text.append("line ").append(i).append(" é 日 and some words\n");
    }
    Corpus corpus = Corpora.open(write("novel.txt", text.toString()).toString());
    String train = String.join("", documents(corpus, Split.TRAIN));
    String validation = String.join("", documents(corpus, Split.VALIDATION));
    assertThat(train + validation).isEqualTo(text.toString());
    assertThat(train).endsWith("\n");
    assertThat((double) train.length() / text.length()).isBetween(0.89, 0.91);
    assertThat(corpus.division())
        .endsWith("its first 90 % to train, its last 10 % to validate")
        .contains("novel.txt as one document");
  }

  @Test
  void a_text_of_one_line_is_split_between_words_or_else_between_characters() throws Exception {
    Corpus words = Corpora.open(write("line.txt", "some words ".repeat(200)).toString());
    assertThat(String.join("", documents(words, Split.TRAIN))).endsWith(" ");
    Corpus letters = Corpora.open(write("letters.txt", "😀".repeat(500)).toString());
    List<String> parts = new ArrayList<>(documents(letters, Split.TRAIN));
    parts.addAll(documents(letters, Split.VALIDATION));
    assertThat(parts).hasSize(2).allMatch(part -> part.length() % 2 == 0);
    assertThat(String.join("", parts)).isEqualTo("😀".repeat(500));
    Corpus two = Corpora.open(write("two.txt", "ab").toString());
    assertThat(documents(two, Split.TRAIN)).containsExactly("a");
    assertThat(documents(two, Split.VALIDATION)).containsExactly("b");
  }

  @Test
  void a_document_that_comes_in_pieces_is_split_by_position_too() throws Exception {
    String line = "x".repeat(99) + "\n";
    Path file = write("long.txt", line.repeat(35_000)); // above 3 MiB
    Corpus corpus = Corpora.open(file.toString());
    List<String> train = documents(corpus, Split.TRAIN);
    assertThat(train).hasSize(4);
    assertThat(train.stream().mapToLong(String::length).sum()).isEqualTo(3_150_000);
    assertThat(documents(corpus, Split.VALIDATION)).hasSize(1).first().asString().hasSize(350_000);
    assertThat(all(file.toString())).hasSize(5);
  }

  @Test
  void documents_are_divided_by_their_hash_and_not_by_position() throws Exception {
    Corpus corpus = Corpora.open(write("two.txt", "first<|endoftext|>second").toString());
    assertThat(corpus.division()).isNull();
  }

  @Test
  void undivided_a_corpus_gives_all_documents_in_order() throws Exception {
    Path file = write("text.txt", "a<|endoftext|>b<|endoftext|>c");
    Corpus whole = Corpora.whole(Corpora.open(file.toString()));
    assertThat(documents(whole, Split.VALIDATION)).containsExactly("a", "b", "c");
    assertThat(documents(whole, Split.TRAIN)).containsExactly("a", "b", "c");
    Corpus one = Corpora.whole(Corpora.open(write("one.txt", "only").toString()));
    assertThat(documents(one, Split.VALIDATION)).containsExactly("only");
  }

  @Test
  void a_file_without_separators_is_given_back_by_its_documents() throws Exception {
    var text = new StringBuilder();
    for (int i = 0; i < 40; i++) {
      text.append("paragraph ").append(i).append(" é".repeat(700)).append("\n\n");
    }
    Corpus corpus = Corpora.open(write("book.txt", text.toString()).toString());
    int length = 0;
    for (Split split : Split.values()) {
      for (String document : documents(corpus, split)) {
        assertThat(text).contains(document);
        length += document.length();
      }
    }
    assertThat(length).isEqualTo(text.length());
  }

  @Test
  void a_glob_gives_each_file_as_a_document_in_sorted_order() throws Exception {
    write("src/B.java", "class B {}\n");
    write("src/a/A.java", "class A {}\n");
    write("src/a/deep/er/C.java", "one<|endoftext|>two");
    write("src/a/notes.txt", "no");
    write("src/a/empty.java", "");
    Corpus corpus = Corpora.open(folder + "/src/**/*.java");
    List<String> all = new ArrayList<>(documents(corpus, Split.TRAIN));
    all.addAll(documents(corpus, Split.VALIDATION));
    assertThat(all).containsExactlyInAnyOrder("class B {}\n", "class A {}\n", "one", "two");
    assertThat(documents(corpus, Split.TRAIN))
        .isSubsetOf("class B {}\n", "class A {}\n", "one", "two");
  }

  @Test
  void a_glob_reads_files_in_the_order_of_their_paths() throws Exception {
    for (int i = 0; i < 60; i++) {
      write("files/%02d.txt".formatted(59 - i), "file %02d".formatted(59 - i));
    }
    assertThat(documents(Corpora.open(folder + "/files/*.txt"), Split.TRAIN)).isSorted();
  }

  @Test
  void a_glob_may_use_question_marks_classes_and_groups() throws Exception {
    write("a1.txt", "1");
    write("a2.md", "2");
    write("b3.txt", "3");
    write("a10.txt", "4");
    assertThat(all(folder + "/[ab]?.{txt,md}")).containsExactlyInAnyOrder("1", "2", "3");
    assertThat(all(folder + "/a*.txt")).containsExactlyInAnyOrder("1", "4");
  }

  @Test
  void what_is_not_there_is_refused() {
    assertInvalid("nowhere.txt", "corpus nowhere.txt: no such file or folder; give wordnet");
    assertInvalid("", "no such file or folder");
    assertInvalid(folder + "/*.none", "no file fits the glob");
    assertInvalid(folder + "/none/*.txt", "no such file or folder");
    assertInvalid(folder + "/[a", "not a glob");
  }

  @Test
  void a_file_of_another_encoding_is_named_by_the_glob() throws Exception {
    write("a.txt", "good");
    Files.write(folder.resolve("b.txt"), new byte[] {'b', (byte) 0xFF});
    assertThatThrownBy(() -> all(folder + "/*.txt"))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageStartingWith(folder.resolve("b.txt") + ": not UTF-8: byte 0xFF at offset 1");
  }

  @Test
  void the_fingerprint_is_that_of_the_content() throws Exception {
    Path one = write("one.txt", "a<|endoftext|>b");
    Path copy = write("copy.txt", "a<|endoftext|>b");
    Path other = write("other.txt", "a<|endoftext|>c");
    String fingerprint = Corpora.open(one.toString()).fingerprint();
    assertThat(Corpora.open(copy.toString()).fingerprint()).isEqualTo(fingerprint);
    assertThat(Corpora.open(other.toString()).fingerprint()).isNotEqualTo(fingerprint);
    assertThat(Corpora.open("wordnet").fingerprint()).isNotEqualTo(fingerprint);
  }

  @Test
  void a_separator_beyond_the_first_read_is_seen() throws Exception {
    for (int before : new int[] {(1 << 18) - 5, (1 << 18), (1 << 19) + 1}) {
      String long1 = "x".repeat(before);
      assertThat(all(write("far.txt", long1 + "<<|endoftext|>b").toString()))
          .containsExactlyInAnyOrder(long1 + "<", "b");
    }
  }

  @Test
  void wordnet_has_all_of_its_entries() {
    Corpus corpus = Corpora.open("wordnet");
    List<String> train = documents(corpus, Split.TRAIN);
    List<String> validation = documents(corpus, Split.VALIDATION);
    assertThat(train.size() + validation.size()).isEqualTo(117_791);
    assertThat(validation.size() / 117_791.0).isBetween(0.045, 0.055);
    long bytes =
        Stream.of(train, validation)
            .flatMap(List::stream)
            .mapToLong(text -> text.length() + 1)
            .sum();
    assertThat(bytes).as("with a line end each").isBetween(12_300_000L, 12_350_000L);
    assertThat(train)
        .startsWith(
            "entity (noun): that which is perceived or known or inferred to have its own distinct"
                + " existence (living or nonliving)")
        .contains(
            "able (adj): (usually followed by `to') having the necessary means or skill or"
                + " know-how or authority to do something; \"able to swim\"; \"she was able to program"
                + " her computer\"; \"we were at last able to buy a car\"; \"able to get a grant for"
                + " the project\"");
    assertThat(train)
        .allMatch(text -> text.matches("[^_|]*[^ ] \\((noun|verb|adj|adv)\\): .*[^ ]"));
    assertThat(train).noneMatch(text -> text.matches("[^:]*\\((a|p|ip)\\)[,:].*"));
  }

  private List<String> all(String spec) {
    Corpus corpus = Corpora.open(spec);
    List<String> all = new ArrayList<>(documents(corpus, Split.TRAIN));
    all.addAll(documents(corpus, Split.VALIDATION));
    return all;
  }

  private static List<String> documents(Corpus corpus, Split split) {
    try (Stream<String> documents = corpus.documents(split)) {
      return documents.toList();
    }
  }

  private static void assertInvalid(String spec, String message) {
    assertThatThrownBy(() -> Corpora.open(spec))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining(message)
        .message()
        .doesNotContain("\n");
  }

  private Path write(String name, String text) throws Exception {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.writeString(file, text);
  }
}
