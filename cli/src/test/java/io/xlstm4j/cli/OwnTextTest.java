package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Training and measuring on a text of one's own, as people have it.
class OwnTextTest {
  @TempDir private static Path shared;
  @TempDir private Path folder;

  private static Path novel;
  private static Path model;
  private static CommandLineRun training;

  @BeforeAll
  static void train_on_a_novel() throws IOException {
    var text = new StringBuilder();
    for (int i = 0; i < 300; i++) {
      text.append("Captain Nemo went to sea again, for the ").append(i).append("th time.\n");
    }
    novel = Files.writeString(shared.resolve("novel.txt"), text);
    model = shared.resolve("model");
    training = train(novel, model);
  }

  private static CommandLineRun train(Path data, Path out, String... more) {
    var command =
        new ArrayList<>(
            List.of(
                "train",
                "--data",
                data.toString(),
                "--out",
                out.toString(),
                "--steps",
                "1",
                "data.tokenizer=bytes",
                "model.num_blocks=1",
                "model.embedding_dim=16",
                "model.context_length=16",
                "training.batch_size=2",
                "samples.max_tokens=2"));
    command.addAll(Arrays.asList(more));
    return CommandLineRun.of(command.toArray(String[]::new));
  }

  @Test
  void a_text_without_blank_lines_is_trained_on_and_its_division_is_said() {
    assertThat(training.err()).isEmpty();
    assertThat(training.code()).isZero();
    assertThat(training.out())
        .contains("reading " + novel + " as one document")
        .contains("its first 90 % to train, its last 10 % to validate")
        .contains("model.slstm_at is [], because model.num_blocks is 1");
  }

  @Test
  void samples_begin_with_words_of_the_text() throws IOException {
    assertThat(training.out()).containsPattern("  \\| [Captain Nemo went to sea again, for]+");
    assertThat(Files.readString(model.resolve("samples.md")))
        .contains("Captain Nemo went to")
        .doesNotContain("hedgehog");
  }

  @Test
  void prompts_that_were_given_win() throws IOException {
    Path out = folder.resolve("run");
    assertThat(train(novel, out, "samples.prompts=['Ned Land']").code()).isZero();
    assertThat(Files.readString(out.resolve("samples.md")))
        .contains("Ned Land")
        .doesNotContain("Captain");
  }

  @ParameterizedTest
  @ValueSource(strings = {"all in one line, with no end to it ", "tiny", "日本語の文章"})
  void a_file_of_one_line_trains(String text) throws IOException {
    Path file = Files.writeString(folder.resolve("line.txt"), text.repeat(20));
    var run = train(file, folder.resolve("run"));
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
  }

  private static CommandLineRun eval(Path data, String... more) {
    var command =
        new ArrayList<>(List.of("eval", "--model", model.toString(), "--data", data.toString()));
    command.addAll(Arrays.asList(more));
    return CommandLineRun.of(command.toArray(String[]::new));
  }

  @Test
  void eval_measures_another_file_whole_and_says_what_it_read() throws IOException {
    Path test =
        Files.writeString(folder.resolve("test.txt"), "one<|endoftext|>two<|endoftext|>thrée");
    var run = eval(test);
    assertThat(run.err()).isEmpty();
    assertThat(run.out())
        .contains("documents      3\n", "bytes          12\n", "tokens         15\n")
        .endsWith("data           " + test + ": all of it\n");
    assertThat(eval(test, "--split", "train").out()).contains("documents      2\n");
    assertThat(eval(test, "--split=VALIDATION").out()).contains("documents      1\n");
    Path one = Files.writeString(folder.resolve("one.txt"), "only one document");
    assertThat(eval(one).out()).contains("documents      1\n", "bytes          17\n");
  }

  @Test
  void eval_of_what_the_model_was_trained_on_reads_the_part_it_did_not_see() throws IOException {
    assertThat(eval(novel).out()).endsWith(novel + ": the part to validate on\n");
    Path link = Files.createSymbolicLink(folder.resolve("link.txt"), novel);
    assertThat(eval(link).out()).endsWith(": the part to validate on\n");
    assertThat(eval(novel, "--split", "all").out())
        .contains("bytes          %,d\n".formatted(Files.size(novel)));
    var wrong = eval(novel, "--split", "some");
    assertThat(wrong.code()).isEqualTo(2);
    assertThat(wrong.err()).contains("--split", "TRAIN, VALIDATION, ALL", "case-insensitive");
  }

  @Test
  void a_table_is_no_text() throws IOException {
    Path table = Files.writeString(folder.resolve("load.csv"), "date,load\n1,2\n");
    var run = train(table, folder.resolve("run"));
    assertThat(run.code()).isEqualTo(1);
    assertThat(run.err())
        .contains("load.csv is a table with the columns date,load, not text")
        .contains("xlstm train --data " + table + " 'series.target_columns=[COLUMN]'");
    assertThat(folder.resolve("run")).doesNotExist();
    assertThat(eval(table).err())
        .contains("is a language model; for series train one of series first");
  }
}
