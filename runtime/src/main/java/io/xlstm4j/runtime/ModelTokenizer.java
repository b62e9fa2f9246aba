package io.xlstm4j.runtime;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.SpecialTokens;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.text.Tokenizers;
import java.nio.file.Path;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/// The tokenizer of a model folder, checked against the model.
public final class ModelTokenizer {
  private ModelTokenizer() {}

  /// Opens `tokenizer.json` of the folder, or else the built-in tokenizer that the configuration
  /// names.
  ///
  /// @param config of the folder's `config.json`
  /// @param special of the folder
  /// @throws io.xlstm4j.text.InvalidTextException if there is no tokenizer, or a broken one
  /// @throws InvalidInputException if the tokenizer knows ids that the model does not
  public static Tokenizer open(Path folder, CheckpointConfig config, SpecialTokens special) {
    @Nullable Integer end = special.ends().isEmpty() ? null : special.ends().getFirst();
    Tokenizer tokenizer = Tokenizers.open(folder, config.tokenizer(), end);
    int known = tokenizer.vocabSize();
    if (known > config.model().vocabSize()) {
      tokenizer.close();
      throw new InvalidInputException(
          "%s: the tokenizer (%s) has %d ids, but vocab_size of config.json is %d; they belong to different models"
              .formatted(folder, tokenizer.name(), known, config.model().vocabSize()));
    }
    return tokenizer;
  }

  /// Returns the id that the tokenizer takes for the end of text, if it has one.
  public static OptionalInt end(Tokenizer tokenizer) {
    return tokenizer.hasEndOfText() ? OptionalInt.of(tokenizer.endOfText()) : OptionalInt.empty();
  }
}
