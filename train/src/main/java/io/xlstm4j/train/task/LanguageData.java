package io.xlstm4j.train.task;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.text.BpeTrainer;
import io.xlstm4j.text.Corpora;
import io.xlstm4j.text.Corpus;
import io.xlstm4j.text.Split;
import io.xlstm4j.text.TokenFile;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.text.Tokenizers;
import io.xlstm4j.train.config.DataConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.Consumer;

/// The tokenizer of a run and its corpus as token files, made on the first use and kept in the
/// run's folder.
///
/// @param train tokens to learn from
/// @param validation tokens to measure on
/// @param folder where all of it lies
record LanguageData(
    Corpus corpus, Tokenizer tokenizer, TokenFile train, TokenFile validation, Path folder)
    implements AutoCloseable {
  private static final String TOKENS = "tokens";

  static LanguageData open(DataConfig config, Path folder, Consumer<String> preparing) {
    Corpus corpus = Corpora.open(config.corpus());
    Tokenizer tokenizer = tokenizer(config, corpus, folder, preparing);
    TokenFile train = null;
    try {
      Files.createDirectories(folder.resolve(TOKENS));
      preparing.accept("encoding " + corpus.name());
      train = TokenFile.openOrBuild(corpus, Split.TRAIN, tokenizer, file(folder, "train"));
      TokenFile validation =
          TokenFile.openOrBuild(corpus, Split.VALIDATION, tokenizer, file(folder, "validation"));
      return new LanguageData(corpus, tokenizer, train, validation, folder);
    } catch (RuntimeException e) {
      if (train != null) {
        train.close();
      }
      tokenizer.close();
      throw e;
    } catch (IOException e) {
      tokenizer.close();
      throw new InvalidInputException(folder + ": cannot be written: " + e.getMessage(), e);
    }
  }

  private static Path file(Path folder, String split) {
    return folder.resolve(TOKENS).resolve(split + ".tokens");
  }

  private static Path tokenizerFile(Path folder) {
    return folder.resolve(Tokenizers.FILE_NAME);
  }

  /// `tokenizer.json` by its name, if there is one.
  Map<String, byte[]> tokenizerFile() {
    Path file = tokenizerFile(folder);
    try {
      return Files.exists(file) ? Map.of(Tokenizers.FILE_NAME, Files.readAllBytes(file)) : Map.of();
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static Tokenizer tokenizer(
      DataConfig config, Corpus corpus, Path folder, Consumer<String> preparing) {
    String builtIn = config.builtInTokenizer();
    if (builtIn != null) {
      return Tokenizers.builtIn(builtIn);
    }
    if (Files.exists(tokenizerFile(folder))) { // of the run that is resumed
      return Tokenizers.fromFile(tokenizerFile(folder));
    }
    if (config.tokenizer().equals(DataConfig.TRAINED)) {
      preparing.accept(
          "training a BPE tokenizer of %d tokens on %s"
              .formatted(config.vocabSize(), corpus.name()));
      try (var documents = corpus.documents(Split.TRAIN)) {
        new BpeTrainer(config.vocabSize()).train(documents).save(tokenizerFile(folder));
      }
      return Tokenizers.fromFile(tokenizerFile(folder));
    }
    Path given = Path.of(config.tokenizer());
    if (!Files.isRegularFile(given)) {
      throw new InvalidInputException(
          "data.tokenizer (%s) must be bpe, bytes, gpt2 or the path of a tokenizer.json"
              .formatted(config.tokenizer()));
    }
    Tokenizers.fromFile(given).close(); // refused before it is copied
    try {
      Files.copy(given, tokenizerFile(folder));
    } catch (IOException e) {
      throw new InvalidInputException(
          tokenizerFile(folder) + ": cannot be written: " + e.getMessage(), e);
    }
    return Tokenizers.fromFile(tokenizerFile(folder));
  }

  @Override
  public void close() {
    train.close();
    validation.close();
    tokenizer.close();
  }
}
