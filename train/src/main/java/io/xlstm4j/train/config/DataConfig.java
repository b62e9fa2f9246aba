package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import org.jspecify.annotations.Nullable;

/// What a run reads.
///
/// @param corpus `wordnet`, a folder with `train.txt` and `valid.txt`, a text file, or a glob
/// @param tokenizer `bpe` (trained on the corpus), `bytes`, `gpt2`, or the path of a
///   `tokenizer.json`
/// @param vocabSize tokens of a trained BPE; nothing else reads it
/// @param resetAtDocuments whether every document starts from a fresh state, as a prompt does
public record DataConfig(String corpus, String tokenizer, int vocabSize, boolean resetAtDocuments) {
  public static final String TRAINED = "bpe";

  public DataConfig {
    Check.notBlank("corpus", corpus);
    Check.notBlank("tokenizer", tokenizer);
    Check.positive("vocabSize", vocabSize);
  }

  /// The tokenizer's name if it needs no file, else null.
  public @Nullable String builtInTokenizer() {
    return tokenizer.equals("bytes") || tokenizer.equals("gpt2") ? tokenizer : null;
  }
}
