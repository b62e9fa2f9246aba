package io.xlstm4j.train.task;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.checkpoint.SpecialTokens;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.text.BatchSource;
import io.xlstm4j.text.Batches;
import io.xlstm4j.text.BpeTrainer;
import io.xlstm4j.text.ContiguousBatches;
import io.xlstm4j.text.Corpora;
import io.xlstm4j.text.Corpus;
import io.xlstm4j.text.DocumentBatches;
import io.xlstm4j.text.FormalLanguage;
import io.xlstm4j.text.FormalLanguageBatches;
import io.xlstm4j.text.MixedBatches;
import io.xlstm4j.text.PreparedTokens;
import io.xlstm4j.text.Split;
import io.xlstm4j.text.TokenFile;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.text.Tokenizers;
import io.xlstm4j.text.Tokens;
import io.xlstm4j.train.config.DataConfig;
import io.xlstm4j.train.config.RunConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// The tokenizer of a run, the batches it trains on, and what it measures itself on. Corpora that
/// were not prepared are encoded on the first use and kept in the run's folder.
final class LanguageData implements AutoCloseable {
  private static final String TOKENS = "tokens";

  private final String name;
  private final Tokenizer tokenizer;
  private final @Nullable String builtIn;
  private final @Nullable Path tokenizerFile;
  private final BatchSource train;
  private final Validation validation;
  private final List<AutoCloseable> opened;
  private final boolean isWordNet;

  private LanguageData(Opening opening, String name, BatchSource train, Validation validation) {
    this.name = name;
    this.tokenizer = opening.tokenizer();
    this.builtIn = opening.builtIn;
    this.tokenizerFile = opening.tokenizerFile;
    this.train = train;
    this.validation = validation;
    this.opened = opening.opened;
    this.isWordNet = opening.config.corpus().equals(Corpora.WORDNET);
  }

  /// The validation data of a run.
  sealed interface Validation {
    String fingerprint();

    /// Predictions there are.
    long targets();
  }

  /// Text, read from its start to its end.
  record Text(Tokens tokens) implements Validation {
    @Override
    public String fingerprint() {
      return tokens.fingerprint();
    }

    @Override
    public long targets() {
      return tokens.size() - 1;
    }
  }

  /// Questions, each a sequence of its own with one right answer.
  ///
  /// @param batches sequences past the last sample come again from the first
  record Questions(BatchSource batches) implements Validation {
    @Override
    public String fingerprint() {
      return batches.fingerprint();
    }

    @Override
    public long targets() {
      return batches.targetsPerEpoch();
    }
  }

  /// @param folder of the run
  /// @param preparing is called while something takes long
  static LanguageData open(RunConfig config, Path folder, Consumer<String> preparing) {
    var opening = new Opening(config, folder, preparing);
    try {
      return FormalLanguage.names(config.data().corpus()) ? opening.formal() : opening.text();
    } catch (RuntimeException e) {
      close(opening.opened);
      throw e;
    }
  }

  String name() {
    return name;
  }

  Tokenizer tokenizer() {
    return tokenizer;
  }

  /// The tokenizer's name if it needs no file.
  @Nullable String builtInTokenizer() {
    return builtIn;
  }

  BatchSource train() {
    return train;
  }

  Validation validation() {
    return validation;
  }

  /// Returns the default prompts of samples.
  List<String> prompts() {
    return validation instanceof Text text && !isWordNet
        ? SamplePrompts.of(text.tokens(), tokenizer)
        : SamplePrompts.WORDNET;
  }

  /// `tokenizer.json` by its name, if the tokenizer needs one.
  Map<String, byte[]> tokenizerFile() {
    if (tokenizerFile == null) {
      return Map.of();
    }
    try {
      return Map.of(Tokenizers.FILE_NAME, Files.readAllBytes(tokenizerFile));
    } catch (IOException e) {
      throw new InvalidInputException(tokenizerFile + ": cannot be read: " + OneLine.reason(e), e);
    }
  }

  @Override
  public void close() {
    close(opened);
  }

  private static void close(List<AutoCloseable> opened) {
    for (AutoCloseable each : opened.reversed()) {
      try {
        each.close();
      } catch (RuntimeException e) {
        throw e;
      } catch (Exception e) {
        throw new AssertionError("closing throws nothing checked", e);
      }
    }
  }

  /// Collects what is opened, so that all of it can be closed if something later fails.
  private static final class Opening {
    private final RunConfig run;
    private final DataConfig config;
    private final Path folder;
    private final Consumer<String> preparing;
    private final List<AutoCloseable> opened = new ArrayList<>();
    private @Nullable Tokenizer tokenizer;
    private @Nullable String builtIn;
    private @Nullable Path tokenizerFile;

    Opening(RunConfig run, Path folder, Consumer<String> preparing) {
      this.run = run;
      this.config = run.data();
      this.folder = folder;
      this.preparing = preparing;
    }

    Tokenizer tokenizer() {
      if (tokenizer == null) {
        throw new IllegalStateException("the tokenizer is chosen first");
      }
      return tokenizer;
    }

    private int rows() {
      return run.training().batchSize();
    }

    private long seed() {
      return run.training().seed();
    }

    LanguageData formal() {
      if (!config.mix().isEmpty() || run.training().truncatedBptt()) {
        throw new InvalidInputException(
            "data.corpus (%s) is a formal language, which takes neither data.mix nor training.truncated_bptt"
                .formatted(config.corpus()));
      }
      FormalLanguage language = FormalLanguage.parse(config.corpus());
      FormalLanguage longer =
          config.validation() == null ? language : FormalLanguage.parse(config.validation());
      tokenizer = language.tokenizer();
      builtIn = tokenizer.name();
      if (!longer.tokenizer().fingerprint().equals(tokenizer.fingerprint())) {
        throw new InvalidInputException(
            "data.validation (%s) must have the symbols of data.corpus (%s)"
                .formatted(longer, language));
      }
      var train =
          new FormalLanguageBatches(
              language,
              Split.TRAIN,
              rows(),
              language.maxLength() - 1,
              seed(),
              config.numExamples());
      var validation =
          new FormalLanguageBatches(
              longer,
              Split.VALIDATION,
              rows(),
              longer.maxLength() - 1,
              seed(),
              config.numValidationExamples());
      return new LanguageData(this, language.toString(), train, new Questions(validation));
    }

    LanguageData text() {
      chooseTokenizer();
      Tokens main = tokens(config.corpus(), Split.TRAIN, "train");
      BatchSource train = mixed(source(main));
      Tokens validation =
          config.validation() == null
              ? tokens(config.corpus(), Split.VALIDATION, "validation")
              : tokens(config.validation(), Split.VALIDATION, "other-validation");
      return new LanguageData(this, name(config.corpus()), train, new Text(validation));
    }

    private static String name(String corpus) {
      Path path = prepared(corpus);
      return path == null ? Corpora.open(corpus).name() : path.getFileName().toString();
    }

    private BatchSource source(Tokens tokens) {
      int length = run.model().contextLength();
      if (run.training().truncatedBptt()) {
        if (config.packing() != DataConfig.Packing.STREAM || !config.mix().isEmpty()) {
          throw new InvalidInputException(
              "training.truncated_bptt needs data.packing stream and no data.mix: its rows go on from step to step");
        }
        return new ContiguousBatches(tokens, rows(), length);
      }
      return switch (config.packing()) {
        case STREAM -> new Batches(tokens, rows(), length, seed());
        case DOCUMENTS -> new DocumentBatches(tokens, rows(), length, seed());
      };
    }

    private BatchSource mixed(BatchSource main) {
      if (config.mix().isEmpty()) {
        return main;
      }
      var parts = new ArrayList<MixedBatches.Part>();
      parts.add(new MixedBatches.Part(config.corpus(), main, config.corpusWeight()));
      for (DataConfig.Source other : config.mix()) {
        Tokens tokens = tokens(other.corpus(), Split.TRAIN, "mix-" + parts.size() + "-train");
        parts.add(new MixedBatches.Part(other.corpus(), source(tokens), other.weight()));
      }
      return new MixedBatches(parts, rows(), seed());
    }

    private static @Nullable Path prepared(String corpus) {
      if (corpus.chars().anyMatch(c -> "*?[{".indexOf(c) >= 0)) {
        return null; // a glob, which not every system takes for a path
      }
      Path path = Path.of(corpus);
      return Files.isDirectory(path) && PreparedTokens.isPrepared(path) ? path : null;
    }

    private Tokens tokens(String corpus, Split split, String file) {
      Path ready = prepared(corpus);
      if (ready != null) {
        PreparedTokens tokens = keep(PreparedTokens.open(ready));
        if (!tokens.tokenizer().fingerprint().equals(tokenizer().fingerprint())) {
          throw new InvalidInputException(
              "%s was prepared with the tokenizer %s, but the run has %s; prepare it with --tokenizer and the run's tokenizer.json"
                  .formatted(corpus, tokens.tokenizer().name(), tokenizer().name()));
        }
        return tokens.tokens(split);
      }
      Path target = folder.resolve(TOKENS).resolve(file + ".tokens");
      Corpus text = Corpora.open(corpus);
      if (corpus.equals(config.validation()) && text.dividedHere()) {
        text = Corpora.whole(text); // all of it was given to measure on
      }
      try {
        Files.createDirectories(folder.resolve(TOKENS));
      } catch (IOException e) {
        throw new InvalidInputException(folder + ": cannot be written: " + OneLine.reason(e), e);
      }
      if (!Files.exists(target)) {
        String division = split == Split.TRAIN ? text.division() : null;
        if (division != null) {
          preparing.accept("reading " + division);
        }
        preparing.accept("encoding " + text.name() + " (" + file + ")");
      }
      return keep(TokenFile.openOrBuild(text, split, tokenizer(), target));
    }

    private <T extends AutoCloseable> T keep(T resource) {
      opened.add(resource);
      return resource;
    }

    private void chooseTokenizer() {
      Path ready = prepared(config.corpus());
      if (ready != null) {
        PreparedTokens tokens = keep(PreparedTokens.open(ready));
        requireAgreement(tokens);
        tokenizer = tokens.tokenizer();
        builtIn = tokens.builtInTokenizer();
        tokenizerFile = builtIn == null ? ready.resolve(Tokenizers.FILE_NAME) : null;
        return;
      }
      builtIn = config.builtInTokenizer();
      if (builtIn != null) {
        tokenizer = keep(Tokenizers.builtIn(builtIn));
        return;
      }
      Path file = folder.resolve(Tokenizers.FILE_NAME);
      if (!Files.exists(file)) { // else it is that of the run that is resumed
        makeTokenizer(file);
      }
      tokenizerFile = file;
      tokenizer = keep(Tokenizers.fromFile(file, configuredEnd()));
    }

    /// A prepared folder brings its tokenizer: keys may repeat what it is, and say nothing else.
    private void requireAgreement(PreparedTokens tokens) {
      if (run.from() != null) {
        return; // the tokenizer is that of the model, with which the folder is compared
      }
      String given = config.tokenizer();
      if (!given.equals(DataConfig.TRAINED) && !isTokenizerOf(given, tokens)) {
        throw new InvalidInputException(
            "data.tokenizer is %s, but data.corpus (%s) was prepared with %s; leave it out"
                .formatted(given, config.corpus(), tokens.tokenizer().name()));
      }
      int size = config.vocabSize();
      if (size != DataConfig.DEFAULT.vocabSize() && size != tokens.tokenizer().vocabSize()) {
        throw new InvalidInputException(
            "data.vocab_size is %d, but the tokenizer of data.corpus (%s) has %d tokens; leave it out"
                .formatted(size, config.corpus(), tokens.tokenizer().vocabSize()));
      }
    }

    private static boolean isTokenizerOf(String given, PreparedTokens tokens) {
      if (given.equals(tokens.builtInTokenizer())) {
        return true;
      }
      if (!Files.isRegularFile(Path.of(given))) {
        return false;
      }
      try (Tokenizer other = Tokenizers.fromFile(Path.of(given))) {
        return other.fingerprint().equals(tokens.tokenizer().fingerprint());
      }
    }

    /// The end of text that the model whose tokenizer this is names, or a run that is resumed.
    private @Nullable Integer configuredEnd() {
      boolean own = config.tokenizer().equals(DataConfig.TRAINED);
      @Nullable Path source = own ? null : Path.of(config.tokenizer()).getParent();
      @Nullable Integer end = source == null ? null : endIn(source);
      return end == null ? endIn(folder) : end;
    }

    private static @Nullable Integer endIn(Path model) {
      if (!Files.isRegularFile(model.resolve(CheckpointConfig.FILE_NAME))) {
        return null;
      }
      try {
        List<Integer> ends = SpecialTokens.read(model, CheckpointConfig.read(model)).ends();
        return ends.isEmpty() ? null : ends.getFirst();
      } catch (InvalidInputException e) {
        return null; // the configuration of something else
      }
    }

    private void makeTokenizer(Path file) {
      if (config.tokenizer().equals(DataConfig.TRAINED)) {
        Corpus corpus = Corpora.open(config.corpus());
        preparing.accept(
            "training a BPE tokenizer of %d tokens on %s"
                .formatted(config.vocabSize(), corpus.name()));
        try (var documents = corpus.documents(Split.TRAIN)) {
          new BpeTrainer(config.vocabSize()).train(documents).save(file);
        }
        return;
      }
      Path given = Path.of(config.tokenizer());
      if (!Files.isRegularFile(given)) {
        throw new InvalidInputException(
            "data.tokenizer (%s) must be bpe, bytes, gpt2 or the path of a tokenizer.json"
                .formatted(config.tokenizer()));
      }
      Tokenizers.fromFile(given).close(); // refused before it is copied
      try {
        Files.copy(given, file);
      } catch (IOException e) {
        throw new InvalidInputException(file + ": cannot be written: " + OneLine.reason(e), e);
      }
    }
  }
}
