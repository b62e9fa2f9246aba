package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.text.Corpora;
import io.xlstm4j.text.Corpus;
import io.xlstm4j.text.Preparation;
import io.xlstm4j.text.Split;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Keys beside data that decides them: they may repeat what it says, and are refused else.
class AgreeingKeysTest {
  @TempDir private Path folder;

  private Path prepared() throws IOException {
    Path out = folder.resolve("prepared");
    Corpus text = Corpora.open(TinyRun.corpus(folder).toString());
    new Preparation(text, "bytes", 4096, Preparation.DEFAULT_SHARD_TOKENS)
        .run(
            out,
            new Preparation.Listener() {
              @Override
              public void onStage(String what) {}

              @Override
              public void onDocument(Split split, long documents, long textBytes, long tokens) {}
            });
    return out;
  }

  private void start(String... keys) throws IOException {
    Path corpus = prepared();
    var said = RunConfigFile.parse("", "");
    RunConfigFile.override(
        said,
        List.of(
            "data.corpus=" + corpus,
            "model.num_blocks=1",
            "model.slstm_at=[]",
            "model.embedding_dim=32",
            "model.context_length=16"));
    RunConfigFile.override(said, List.of(keys));
    Trainer.start(RunConfig.DEFAULT.with(said, ""), folder.resolve("run")).close();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          data.tokenizer=gpt2  | data.tokenizer is gpt2, but data.corpus (
          data.tokenizer=gpt2  | ) was prepared with bytes; leave it out
          data.tokenizer=x.json | data.tokenizer is x.json, but data.corpus (
          data.vocab_size=300  | data.vocab_size is 300, but the tokenizer of data.corpus (
          data.vocab_size=300  | ) has 257 tokens; leave it out
          """)
  void a_key_that_disagrees_with_a_prepared_folder_is_refused(String key, String message) {
    assertThatThrownBy(() -> start(key))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(message);
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @ParameterizedTest
  @ValueSource(strings = {"data.tokenizer=bytes", "data.vocab_size=257"})
  void a_key_that_repeats_what_a_prepared_folder_says_is_allowed(String key) {
    assertThatCode(() -> start(key)).doesNotThrowAnyException();
  }

  @Test
  void a_context_length_beside_a_formal_language_must_be_its_length() {
    var said = RunConfigFile.parse("", "");
    RunConfigFile.override(said, List.of("data.corpus=parity:3-40", "model.context_length=64"));
    assertThatThrownBy(() -> RunConfig.DEFAULT.with(said, ""))
        .hasMessage(
            "model.context_length is 64, but the sequences of data.corpus (parity:3-40) have at most 39 tokens; leave it out");
    for (int same : List.of(39, 40, 256)) {
      RunConfigFile.override(said, List.of("model.context_length=" + same));
      assertThatCode(() -> RunConfig.DEFAULT.with(said, "")).doesNotThrowAnyException();
    }
  }
}
