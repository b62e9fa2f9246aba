package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.checkpoint.SpecialTokens;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.runtime.ModelTokenizer;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.torch.Checkpoint;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.XlstmLanguageModel;
import java.nio.file.Path;

/// A checkpoint's model with its tokenizer, which fit each other.
///
/// @param special the tokens that begin and end a text
record LoadedModel(XlstmLanguageModel model, Tokenizer tokenizer, SpecialTokens special)
    implements AutoCloseable {

  /// @throws InvalidInputException if the folder is no good checkpoint, or the tokenizer knows ids
  ///   that the model does not
  static LoadedModel open(Path folder, String device) {
    CheckpointFolder.open(folder);
    CheckpointConfig config = CheckpointConfig.read(folder);
    SpecialTokens special = SpecialTokens.read(folder, config);
    Tokenizer tokenizer = ModelTokenizer.open(folder, config, special);
    try {
      return new LoadedModel(Checkpoint.open(folder, Torch.device(device)), tokenizer, special);
    } catch (RuntimeException e) {
      tokenizer.close();
      throw e;
    }
  }

  @Override
  public void close() {
    model.close();
    tokenizer.close();
  }
}
