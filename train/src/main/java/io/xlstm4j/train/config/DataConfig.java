package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// The data of a language model.
///
/// @param corpus what [io.xlstm4j.text.Corpora#open] takes, a folder that `xlstm prepare` made, or
///   a formal language such as `parity:3-40`
/// @param validation another corpus to measure on; null for the part of `corpus` that is kept for
///   it
/// @param tokenizer `bpe` (trained on the corpus), `bytes`, `gpt2`, or the path of a
///   `tokenizer.json`; a prepared folder and a formal language bring their own
/// @param vocabSize tokens of a trained BPE; nothing else reads it
/// @param resetAtDocuments whether the state is reset at every document, as a prompt does
/// @param packing how documents come into the sequences of a batch
/// @param mix other corpora to draw sequences from, beside `corpus`
/// @param corpusWeight share of `corpus` beside those of the mix
/// @param numExamples examples of a formal language in an epoch
/// @param numValidationExamples examples of a formal language to measure on
public record DataConfig(
    String corpus,
    @Nullable String validation,
    String tokenizer,
    int vocabSize,
    boolean resetAtDocuments,
    Packing packing,
    List<Source> mix,
    double corpusWeight,
    int numExamples,
    int numValidationExamples) {
  /// The settings of `./xlstm train` without arguments.
  public static final DataConfig DEFAULT =
      new DataConfig(
          "wordnet",
          null,
          DataConfig.TRAINED,
          4096,
          true,
          DataConfig.Packing.STREAM,
          List.of(),
          1,
          100_000,
          2_048);

  public static final String TRAINED = "bpe";

  /// The packing of documents into sequences.
  public enum Packing {
    /// one after the other, cut at the end of a sequence: every token is a target once in an epoch
    STREAM,
    /// each whole in one sequence, as many as fit; longer ones lose their end
    DOCUMENTS;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /// A corpus of a mix.
  ///
  /// @param corpus as in [DataConfig]
  /// @param weight share of the sequences that come from it, relative to the others
  public record Source(String corpus, double weight) {
    public Source {
      Check.notBlank("corpus", corpus == null ? "" : corpus);
      Check.positive("weight", weight);
    }
  }

  public DataConfig {
    Check.notBlank("corpus", corpus);
    Check.notBlank("tokenizer", tokenizer);
    Check.positive("vocabSize", vocabSize);
    mix = List.copyOf(mix);
    Check.positive("corpusWeight", corpusWeight);
    Check.positive("numExamples", numExamples);
    Check.positive("numValidationExamples", numValidationExamples);
  }

  /// The tokenizer's name if it needs no file, else null.
  public @Nullable String builtInTokenizer() {
    return tokenizer.equals("bytes") || tokenizer.equals("gpt2") ? tokenizer : null;
  }

  /// The same with another corpus and tokenizer.
  public DataConfig with(String otherCorpus, String otherTokenizer) {
    return new DataConfig(
        otherCorpus,
        validation,
        otherTokenizer,
        vocabSize,
        resetAtDocuments,
        packing,
        mix,
        corpusWeight,
        numExamples,
        numValidationExamples);
  }

  public DataConfig withCorpus(String value) {
    return RecordComponents.with(this, "corpus", value);
  }

  public DataConfig withValidation(@Nullable String value) {
    return RecordComponents.with(this, "validation", value);
  }

  public DataConfig withTokenizer(String value) {
    return RecordComponents.with(this, "tokenizer", value);
  }

  public DataConfig withVocabSize(int value) {
    return RecordComponents.with(this, "vocabSize", value);
  }

  public DataConfig withResetAtDocuments(boolean value) {
    return RecordComponents.with(this, "resetAtDocuments", value);
  }

  public DataConfig withPacking(Packing value) {
    return RecordComponents.with(this, "packing", value);
  }

  public DataConfig withMix(List<Source> value) {
    return RecordComponents.with(this, "mix", value);
  }

  public DataConfig withCorpusWeight(double value) {
    return RecordComponents.with(this, "corpusWeight", value);
  }

  public DataConfig withNumExamples(int value) {
    return RecordComponents.with(this, "numExamples", value);
  }

  public DataConfig withNumValidationExamples(int value) {
    return RecordComponents.with(this, "numValidationExamples", value);
  }
}
