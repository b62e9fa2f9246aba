package io.xlstm4j.core.checkpoint;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.StrictBinder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Keeps the rule of where a text begins and ends when a folder is written again.
final class ConvertedTokens {
  private static final String GENERATION_CONFIG = "generation_config.json";

  private ConvertedTokens() {}

  /// The configuration of a folder with the rule written down: a folder of another program that
  /// says nothing sets no token before a text, but one of ours would.
  static CheckpointConfig config(ModelFolder from) {
    CheckpointConfig config = from.config();
    if (config.addBosToken() != null) {
      return config;
    }
    SpecialTokens tokens = SpecialTokens.read(from.path(), config);
    boolean byBos =
        config.model() instanceof LargeModelConfig large
            && tokens.bos() != null
            && tokens.bos().equals(large.bosTokenId())
            && tokens.prefix().equals(List.of(tokens.bos()));
    if (tokens.beginsWithEnd() || byBos) {
      return config.withAddBosToken(true);
    }
    return tokens.prefix().isEmpty() ? config.withAddBosToken(false) : config;
  }

  /// An official `config.yaml` has no place for tokens, so they stand in a file beside it.
  static void writeBeside(CheckpointConfig config, Path folder) throws IOException {
    Path file = folder.resolve(GENERATION_CONFIG);
    if (Files.exists(file) || !(config.model() instanceof LargeModelConfig large)) {
      return; // copied from the folder that was read
    }
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    if (large.bosTokenId() != null) {
      keys.put("bos_token_id", large.bosTokenId());
    }
    if (!large.eosTokenIds().isEmpty()) {
      large.eosTokenIds().forEach(keys.putArray(CheckpointConfig.EOS_TOKEN_ID)::add);
    }
    if (large.padTokenId() != null) {
      keys.put("pad_token_id", large.padTokenId());
    }
    if (config.addBosToken() != null) {
      keys.put(CheckpointConfig.ADD_BOS_TOKEN, config.addBosToken());
    }
    if (!keys.isEmpty()) {
      Files.writeString(file, StrictBinder.toJson(keys));
    }
  }
}
