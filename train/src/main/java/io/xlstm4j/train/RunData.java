package io.xlstm4j.train;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.text.BpeTrainer;
import io.xlstm4j.text.Corpora;
import io.xlstm4j.text.Corpus;
import io.xlstm4j.text.Split;
import io.xlstm4j.text.TokenFile;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.text.Tokenizers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// The tokenizer of a run and its corpus as token files, made on the first use and kept in the
/// run's folder.
///
/// @param train tokens to learn from
/// @param validation tokens to measure on
record RunData(Corpus corpus, Tokenizer tokenizer, TokenFile train, TokenFile validation)
    implements AutoCloseable {

  static RunData open(DataConfig config, RunFolder folder, TrainingListener listener) {
    Corpus corpus = Corpora.open(config.corpus());
    Tokenizer tokenizer = tokenizer(config, corpus, folder, listener);
    TokenFile train = null;
    try {
      Files.createDirectories(folder.tokens("train").getParent());
      listener.onPreparing("encoding " + corpus.name());
      train = TokenFile.openOrBuild(corpus, Split.TRAIN, tokenizer, folder.tokens("train"));
      TokenFile validation =
          TokenFile.openOrBuild(corpus, Split.VALIDATION, tokenizer, folder.tokens("validation"));
      return new RunData(corpus, tokenizer, train, validation);
    } catch (RuntimeException e) {
      if (train != null) {
        train.close();
      }
      tokenizer.close();
      throw e;
    } catch (IOException e) {
      tokenizer.close();
      throw new InvalidInputException(folder.path() + ": cannot be written: " + e.getMessage(), e);
    }
  }

  private static Tokenizer tokenizer(
      DataConfig config, Corpus corpus, RunFolder folder, TrainingListener listener) {
    String builtIn = config.builtInTokenizer();
    if (builtIn != null) {
      return Tokenizers.builtIn(builtIn);
    }
    if (Files.exists(folder.tokenizer())) { // of the run that is resumed
      return Tokenizers.fromFile(folder.tokenizer());
    }
    if (config.tokenizer().equals(DataConfig.TRAINED)) {
      listener.onPreparing(
          "training a BPE tokenizer of %d tokens on %s"
              .formatted(config.vocabSize(), corpus.name()));
      try (var documents = corpus.documents(Split.TRAIN)) {
        new BpeTrainer(config.vocabSize()).train(documents).save(folder.tokenizer());
      }
      return Tokenizers.fromFile(folder.tokenizer());
    }
    Path given = Path.of(config.tokenizer());
    if (!Files.isRegularFile(given)) {
      throw new InvalidInputException(
          "data.tokenizer (%s) must be bpe, bytes, gpt2 or the path of a tokenizer.json"
              .formatted(config.tokenizer()));
    }
    Tokenizers.fromFile(given).close(); // refused before it is copied
    try {
      Files.copy(given, folder.tokenizer());
    } catch (IOException e) {
      throw new InvalidInputException(
          folder.tokenizer() + ": cannot be written: " + e.getMessage(), e);
    }
    return Tokenizers.fromFile(folder.tokenizer());
  }

  @Override
  public void close() {
    train.close();
    validation.close();
    tokenizer.close();
  }
}
