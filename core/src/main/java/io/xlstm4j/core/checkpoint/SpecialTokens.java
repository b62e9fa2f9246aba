package io.xlstm4j.core.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeConfigKeys;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.StrictBinder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The tokens that begin and end a text, as the files of a model folder say:
/// `generation_config.json`, then `config.json`, then `tokenizer_config.json`, and for the
/// beginning the post-processor of `tokenizer.json`. See `docs/checkpoint-format.md`.
///
/// @param ends ids that end a text; empty if no file says it, and the tokenizer must know
/// @param prefix ids that every text begins with; empty for none
/// @param beginsWithEnd whether every text begins with the token that ends texts, whatever id it
///   has: the rule of folders of ours
/// @param bos the id that `bos_token_id` names, or null
/// @param warnings what the files say against each other, one line each
public record SpecialTokens(
    List<Integer> ends,
    List<Integer> prefix,
    boolean beginsWithEnd,
    @Nullable Integer bos,
    List<String> warnings) {
  private static final String GENERATION_CONFIG = "generation_config.json";
  private static final String TOKENIZER_CONFIG = "tokenizer_config.json";
  private static final String TOKENS_MAP = "special_tokens_map.json";
  private static final String BOS_TOKEN_ID = "bos_token_id";

  /// Files of tokenizers describe every added token.
  private static final long MAX_BYTES = 16 << 20;

  /// The released model's name of the same rule.
  private static final String FORCE_BOS = "force_bos_token_insert";

  public SpecialTokens {
    ends = List.copyOf(ends);
    prefix = List.copyOf(prefix);
    warnings = List.copyOf(warnings);
  }

  /// Reads what the files of a folder say.
  ///
  /// @param config what was read of its `config.json`
  /// @throws InvalidInputException if one of the files is not what it must be
  public static SpecialTokens read(Path folder, CheckpointConfig config) {
    return new Reader(folder, config).read();
  }

  /// The ids of a prompt: those that every text begins with, then the text. A model cannot start
  /// from nothing, so the empty text becomes the first of `bos` and the end that there is.
  ///
  /// @param text ids without special tokens
  /// @param tokenizersEnd what the tokenizer takes for the end of text
  /// @throws InvalidInputException if there is nothing to begin with
  public int[] prompt(int[] text, OptionalInt tokenizersEnd) {
    var ids = new ArrayList<>(prefix);
    @Nullable Integer end =
        !ends.isEmpty()
            ? ends.getFirst()
            : tokenizersEnd.isPresent() ? (Integer) tokenizersEnd.getAsInt() : null;
    if (beginsWithEnd && end != null) {
      ids.add(end);
    }
    if (ids.isEmpty() && text.length == 0) {
      @Nullable Integer first = bos == null ? end : bos;
      if (first == null) {
        throw new InvalidInputException(
            "the prompt is empty, and the model names no token that begins a text; give a prompt");
      }
      ids.add(first);
    }
    int[] all = new int[ids.size() + text.length];
    for (int i = 0; i < ids.size(); i++) {
      all[i] = ids.get(i);
    }
    System.arraycopy(text, 0, all, ids.size(), text.length);
    return all;
  }

  /// The ids at which generation stops.
  ///
  /// @param tokenizersEnd what the tokenizer takes for the end of text, if no file says another
  public Set<Integer> stops(OptionalInt tokenizersEnd) {
    return ends.isEmpty() && tokenizersEnd.isPresent()
        ? Set.of(tokenizersEnd.getAsInt())
        : Set.copyOf(ends);
  }

  /// The files of one folder on their way to a rule.
  private static final class Reader {
    private final Path folder;
    private final CheckpointConfig config;
    private final ObjectNode ownConfig;
    private final ObjectNode generation;
    private final ObjectNode tokenizer;
    private final ObjectNode tokensMap;
    private final List<String> warnings = new ArrayList<>();
    private String endSource = "";

    Reader(Path folder, CheckpointConfig config) {
      this.folder = folder;
      this.config = config;
      ownConfig = tree(CheckpointConfig.FILE_NAME);
      generation = tree(GENERATION_CONFIG);
      tokenizer = tree(TOKENIZER_CONFIG);
      tokensMap = tree(TOKENS_MAP);
    }

    private ObjectNode tree(String name) {
      Path file = folder.resolve(name);
      return Files.isRegularFile(file)
          ? StrictBinder.parse(CheckpointConfig.text(folder, file, MAX_BYTES), OneLine.of(file))
          : JsonNodeFactory.instance.objectNode();
    }

    SpecialTokens read() {
      @Nullable String endName = name("eos_token");
      @Nullable String bosName = name("bos_token");
      List<Integer> ends = configuredEnds();
      @Nullable Integer bos = configuredBos();
      @Nullable Boolean addBos = configuredAddBos();
      boolean ours = config.addBosToken() != null;
      boolean alone = ours && generation.isEmpty() && endName == null && bosName == null;
      Path file = folder.resolve(TokenizerTokens.FILE_NAME);
      List<Integer> template = List.of();
      if (!alone && Files.isRegularFile(file)) { // else nothing can contradict it
        var names = new HashSet<String>();
        for (@Nullable String name : new String[] {endName, bosName}) {
          if (name != null) {
            names.add(name);
          }
        }
        var ids = new HashSet<>(ends);
        if (bos != null) {
          ids.add(bos);
        }
        var tokens = TokenizerTokens.read(file, names, ids);
        if (ends.isEmpty() && endName != null) {
          ends = idOf(endName, "eos_token", tokens);
        }
        if (bosName != null && (bos == null || !forced())) {
          List<Integer> named = idOf(bosName, "bos_token", tokens);
          bos = named.isEmpty() ? bos : named.getFirst();
        }
        template = tokens.prefix();
        ends.forEach(id -> reportOrdinary(endSource, id, tokens));
      }
      boolean older = addBos == null && template.isEmpty() && isOlderOfOurs();
      List<Integer> prefix = template;
      boolean beginsWithEnd = older;
      if (addBos != null) {
        beginsWithEnd =
            addBos && bos == null && (ours || generation.has(CheckpointConfig.ADD_BOS_TOKEN));
        prefix = addBos && bos != null ? List.of(bos) : List.of();
      }
      return new SpecialTokens(ends, inVocabulary(prefix), beginsWithEnd, bos, warnings);
    }

    /// The first file that names any.
    private List<Integer> configuredEnds() {
      Path file = folder.resolve(GENERATION_CONFIG);
      List<Integer> ends =
          LargeConfigKeys.tokenIds(
              generation.get(CheckpointConfig.EOS_TOKEN_ID),
              CheckpointConfig.EOS_TOKEN_ID,
              OneLine.of(file) + ": ");
      var known = new LinkedHashSet<Integer>();
      for (int id : ends) {
        if (id >= 0 && id < config.model().vocabSize()) {
          known.add(id);
        } else {
          warnings.add(
              "%s: %s %d is not in [0, vocab_size (%d)) and is ignored"
                  .formatted(
                      OneLine.of(file),
                      CheckpointConfig.EOS_TOKEN_ID,
                      id,
                      config.model().vocabSize()));
        }
      }
      endSource = GENERATION_CONFIG;
      if (known.isEmpty()) {
        endSource = CheckpointConfig.FILE_NAME;
        known.addAll(config.eosTokenIds());
      }
      return new ArrayList<>(known);
    }

    private @Nullable Integer configuredBos() {
      JsonNode bos = generation.get(BOS_TOKEN_ID);
      if (bos != null && bos.isInt()) {
        return bos.asInt();
      }
      return switch (config.model()) {
        case LargeModelConfig large -> large.bosTokenId();
        case PaperModelConfig _ -> null;
      };
    }

    /// Returns whether the model's own configuration, not the tokenizer's, asks for its
    /// `bos_token_id`.
    private boolean forced() {
      return config.addBosToken() != null
          || ownConfig.path(FORCE_BOS).asBoolean()
          || generation.has(CheckpointConfig.ADD_BOS_TOKEN);
    }

    private @Nullable Boolean configuredAddBos() {
      if (config.addBosToken() != null) {
        return config.addBosToken();
      }
      if (ownConfig.path(FORCE_BOS).asBoolean()) {
        return true;
      }
      for (ObjectNode file : List.of(generation, tokenizer)) {
        JsonNode add = file.get(CheckpointConfig.ADD_BOS_TOKEN);
        if (add != null && add.isBoolean()) {
          return add.asBoolean();
        }
      }
      return null;
    }

    /// Folders that were written before the rule was: the paper family's, and those with the one
    /// key that no other program writes.
    private boolean isOlderOfOurs() {
      return config.model() instanceof PaperModelConfig || ownConfig.has("context_length");
    }

    /// A token of `tokenizer_config.json`, or else of `special_tokens_map.json`: its text, or an
    /// object that has it.
    private @Nullable String name(String key) {
      JsonNode token = tokenizer.has(key) ? tokenizer.path(key) : tokensMap.path(key);
      JsonNode text = token.isObject() ? token.path("content") : token;
      return text.isTextual() ? text.asText() : null;
    }

    private List<Integer> idOf(String text, String key, TokenizerTokens tokens) {
      @Nullable Integer id = tokens.id(text);
      for (Map.Entry<String, JsonNode> entry :
          tokenizer.path("added_tokens_decoder").properties()) {
        if (id == null && entry.getValue().path("content").asText().equals(text)) {
          id = parsed(entry.getKey());
        }
      }
      if (id != null && id >= 0 && id < config.model().vocabSize()) {
        if (key.equals("eos_token")) {
          endSource = TOKENIZER_CONFIG;
        }
        return new ArrayList<>(List.of(id));
      }
      warnings.add(
          "%s: %s is %s, which is no token of %s"
              .formatted(
                  OneLine.of(folder.resolve(TOKENIZER_CONFIG)),
                  key,
                  OneLine.quote(text),
                  TokenizerTokens.FILE_NAME));
      return new ArrayList<>();
    }

    private static @Nullable Integer parsed(String digits) {
      return digits.matches("[0-9]{1,9}") ? Integer.valueOf(digits) : null;
    }

    private void reportOrdinary(String file, int id, TokenizerTokens tokens) {
      @Nullable String text = tokens.text(id);
      if (text == null) {
        warnings.add(
            "%s: eos_token_id %d is no token of %s; generation never meets it"
                .formatted(OneLine.of(folder.resolve(file)), id, TokenizerTokens.FILE_NAME));
      } else if (!tokens.added().containsKey(text) && !text.matches("[<\\[].*[>\\]]")) {
        warnings.add(
            "%s: eos_token_id %d is the ordinary word %s of %s; generation stops at it all the same"
                .formatted(
                    OneLine.of(folder.resolve(file)),
                    id,
                    OneLine.quote(text),
                    TokenizerTokens.FILE_NAME));
      }
    }

    private List<Integer> inVocabulary(List<Integer> ids) {
      for (int id : ids) {
        if (id < 0 || id >= config.model().vocabSize()) {
          throw new InvalidInputException(
              "%s: texts begin with the token %d, which is not in [0, vocab_size (%d))"
                  .formatted(OneLine.of(folder), id, config.model().vocabSize()));
        }
      }
      return ids;
    }
  }
}
