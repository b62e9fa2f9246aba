package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.text.DocumentReader.Cut;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class DocumentReaderTest {
  private static final String SEPARATOR = "<|endoftext|>";
  private static final int CHUNK = 1 << 16; // what is read at once

  @TempDir private Path folder;

  @Test
  void separators_part_documents_and_the_line_ends_beside_them_are_not_text() throws Exception {
    assertThat(read("one\n<|endoftext|>\ntwo\n\nlines<|endoftext|>three\n", Cut.SEPARATOR))
        .containsExactly("one", "two\n\nlines", "three");
    assertThat(read("\r\none\r\n<|endoftext|>\r\n two \r\n<|endoftext|>\r\n", Cut.SEPARATOR))
        .containsExactly("one", " two ");
  }

  @Test
  void nothing_between_two_separators_is_no_document() throws Exception {
    assertThat(read("<|endoftext|><|endoftext|>\n<|endoftext|>a<|endoftext|>", Cut.SEPARATOR))
        .containsExactly("a");
    assertThat(read("<|endoftext|>", Cut.SEPARATOR)).isEmpty();
    assertThat(read("\n", Cut.SEPARATOR)).containsExactly("\n");
    assertThat(read("", Cut.SEPARATOR)).isEmpty();
    assertThat(read("", Cut.BLANK_LINES)).isEmpty();
  }

  @Test
  void a_part_of_a_separator_is_text() throws Exception {
    assertThat(read("a<|endoftext|b<<|endoftext|>>|endoftext|>", Cut.SEPARATOR))
        .containsExactly("a<|endoftext|b<", ">|endoftext|>");
    assertThat(read("a<|endoftext|", Cut.SEPARATOR)).containsExactly("a<|endoftext|");
  }

  @Test
  void a_file_without_a_separator_is_one_document_unchanged() throws Exception {
    assertThat(read("\n a\r\n\n", Cut.SEPARATOR)).containsExactly("\n a\r\n\n");
  }

  @Test
  void a_separator_is_found_at_every_place_around_the_border_of_two_reads() throws Exception {
    for (int before = CHUNK - 16; before <= CHUNK + 3; before++) {
      String first = "x".repeat(before);
      assertThat(read(first + "\n" + SEPARATOR + "\nend", Cut.SEPARATOR))
          .containsExactly(first, "end");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"é", "北", "🙂"})
  void a_character_survives_at_every_place_around_the_border_of_two_reads(String character)
      throws Exception {
    for (int before = CHUNK - 5; before <= CHUNK + 1; before++) {
      String text = "x".repeat(before) + character + "y";
      assertThat(read(text, Cut.SEPARATOR)).containsExactly(text);
    }
  }

  @Test
  void a_byte_order_mark_is_skipped_at_the_start_only() throws Exception {
    assertThat(read("\uFEFFa\uFEFF", Cut.SEPARATOR)).containsExactly("a\uFEFF");
    assertThat(read("\uFEFF", Cut.SEPARATOR)).isEmpty();
    assertThat(read("\uFEFF", Cut.BLANK_LINES)).isEmpty();
  }

  @ParameterizedTest
  @EnumSource(Cut.class)
  void a_byte_that_is_not_utf8_is_named_with_its_offset(Cut cut) throws Exception {
    for (int before : new int[] {0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK}) {
      byte[] text = "x".repeat(before + 2).getBytes(StandardCharsets.US_ASCII);
      text[before] = (byte) 0xE9;
      Path file = Files.write(folder.resolve("latin.txt"), text);
      assertThatThrownBy(() -> read(file, cut))
          .isInstanceOf(InvalidTextException.class)
          .hasMessage(
              file
                  + ": not UTF-8: byte 0xE9 at offset "
                  + before
                  + " does not belong to a character; save the file as UTF-8");
    }
  }

  @Test
  void half_a_character_at_the_end_of_a_file_is_named() throws Exception {
    Path file = Files.write(folder.resolve("cut.txt"), new byte[] {'a', (byte) 0xC3});
    assertThatThrownBy(() -> read(file, Cut.SEPARATOR))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining("byte 0xC3 at offset 1");
  }

  @Test
  void blank_lines_end_a_document_beyond_2048_bytes() throws Exception {
    String early = "a\n\n"; // too early to cut
    String first = early + "x".repeat(2044) + "\n"; // 2,048 bytes
    assertThat(read(first + "\nsecond\n\nstays\n", Cut.BLANK_LINES))
        .containsExactly(first + "\n", "second\n\nstays\n");
    String shorter = early + "x".repeat(2043) + "\n";
    assertThat(read(shorter + "\nsecond", Cut.BLANK_LINES)).containsExactly(shorter + "\nsecond");
  }

  @Test
  void all_blank_lines_in_a_row_belong_to_the_document_before() throws Exception {
    String first = "x".repeat(3000) + "\r\n\r\n \t\r\n\n";
    assertThat(read(first + "  second", Cut.BLANK_LINES)).containsExactly(first, "  second");
    assertThat(read(first, Cut.BLANK_LINES)).containsExactly(first);
    assertThat(read(first + "  ", Cut.BLANK_LINES)).containsExactly(first + "  ");
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(ints = {1, 2, 3})
  void documents_cut_at_blank_lines_join_to_the_file(int seed) throws Exception {
    var random = new Random(seed);
    var text = new StringBuilder();
    while (text.length() < 300_000) {
      text.append(Samples.random(random, 30).replace(SEPARATOR, ""));
      text.append("\n".repeat(random.nextInt(4)));
    }
    List<String> documents = read(text.toString(), Cut.BLANK_LINES);
    assertThat(documents).hasSizeGreaterThan(10);
    assertJoined(documents, text.toString());
    for (String document : documents.subList(0, documents.size() - 1)) {
      assertThat(document).endsWith("\n");
      assertThat(document.getBytes(StandardCharsets.UTF_8).length).isGreaterThan(2048);
    }
  }

  @ParameterizedTest
  @EnumSource(Cut.class)
  void a_long_document_is_cut_at_line_ends_and_nothing_is_lost(Cut cut) throws Exception {
    for (String line : List.of("x".repeat(999) + "\n", "é北🙂".repeat(300) + "\r\n")) {
      String text = line.repeat(3 * DocumentReader.MAX_BYTES / utf8(line)) + "tail";
      List<String> documents = read(text, cut);
      assertThat(documents.size()).isBetween(3, 4); // nearly 1 MiB each, and perhaps a rest
      assertJoined(documents, text);
      for (String document : documents.subList(0, documents.size() - 1)) {
        assertThat(document).endsWith("\n");
        assertThat(utf8(document)).isLessThanOrEqualTo(DocumentReader.MAX_BYTES);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Cut.class)
  void a_long_line_is_cut_between_characters(Cut cut) throws Exception {
    for (String character : List.of("x", "é", "北", "🙂")) {
      String text = "a" + character.repeat(2 * DocumentReader.MAX_BYTES / utf8(character) + 5);
      List<String> documents = read(text, cut);
      assertThat(documents.size()).isEqualTo(3);
      assertJoined(documents, text);
      for (String document : documents) {
        assertThat(WellFormed.of(document)).isSameAs(document);
        assertThat(utf8(document)).isLessThanOrEqualTo(DocumentReader.MAX_BYTES);
      }
    }
  }

  @Test
  void a_separator_around_the_longest_document_is_found() throws Exception {
    for (int before = DocumentReader.MAX_BYTES - 14; before <= DocumentReader.MAX_BYTES; before++) {
      String first = "x".repeat(before);
      assertThat(read(first + SEPARATOR + "end", Cut.SEPARATOR)).containsExactly(first, "end");
    }
    String longer = "x".repeat(DocumentReader.MAX_BYTES + 1);
    assertThat(read(longer + SEPARATOR + "end", Cut.SEPARATOR))
        .containsExactly(longer.substring(1), "x", "end");
  }

  private static void assertJoined(List<String> documents, String text) {
    assertThat(String.join("", documents).equals(text)).as("nothing is lost").isTrue();
  }

  private static int utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8).length;
  }

  private List<String> read(String text, Cut cut) throws Exception {
    return read(Files.writeString(folder.resolve("text.txt"), text), cut);
  }

  private static List<String> read(Path file, Cut cut) {
    List<String> documents = new ArrayList<>();
    try (var reader = new DocumentReader(file, cut)) {
      reader.forEachRemaining(documents::add);
    }
    return documents;
  }
}
