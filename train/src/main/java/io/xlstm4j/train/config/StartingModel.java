package io.xlstm4j.train.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.SpecialTokens;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeConfigKeys;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperConfigKeys;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.core.config.UnknownKeyException;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.text.Tokenizers;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The model folder that a run takes its first weights from, ours or Hugging Face's. Architecture
/// and tokenizer are those of the folder.
///
/// @param folder as the key `from` names it
/// @param stored what it says about itself
public record StartingModel(Path folder, CheckpointConfig stored) {
  /// The key of a run's configuration.
  public static final String KEY = "from";

  private static final String MODEL = "model";
  private static final String MODEL_TYPE = "model_type";
  private static final String DATA = "data";
  private static final String TOKENIZER = "tokenizer";
  private static final String VOCAB_SIZE = "vocab_size";

  /// Keys of a model that no weight has its shape or meaning from.
  private static final List<String> FREE = List.of("context_length", "dropout");

  /// The keys that follow from the tokenizer.
  private static final List<String> OF_VOCABULARY =
      List.of(VOCAB_SIZE, "bos_token_id", "eos_token_id", "pad_token_id");

  /// Returns the value of the key, or null if it is not given.
  static @Nullable String value(JsonNode said, String source) {
    if (said.isNull()) {
      return null;
    }
    if (!said.isTextual() || said.asText().isBlank()) {
      throw new InvalidInputException(
          RunConfig.prefix(source) + "from must be the path of a model folder, but is " + said);
    }
    return said.asText();
  }

  /// @param from the value of the key
  /// @throws InvalidInputException if there is no language model
  public static StartingModel open(String from) {
    Path folder = path(from);
    if (SequenceConfigKeys.describe(folder)) {
      throw new InvalidInputException(
          "from (%s) is a model of series; only language models can be started from"
              .formatted(folder));
    }
    return new StartingModel(folder, CheckpointConfig.read(folder));
  }

  private static Path path(String from) {
    try {
      return Path.of(from).normalize();
    } catch (InvalidPathException e) {
      throw new InvalidInputException(
          "from (" + from + ") must be the path of a model folder: " + e.getReason(), e);
    }
  }

  /// Completes what somebody wrote: with `from`, the keys of the model and the tokenizer become
  /// those of the folder; without it, nothing changes.
  ///
  /// @param said keys of a run; changed
  /// @param source the name of the file, for messages
  /// @throws InvalidInputException if the folder holds no language model, or something written
  ///   disagrees with it
  public static void complete(ObjectNode said, String source) {
    JsonNode from = said.get(KEY);
    if (from == null || !from.isTextual()) {
      return; // what is no word is refused with the other keys
    }
    StartingModel start = open(from.asText());
    said.put(KEY, start.folder.toString());
    start.completeModel(said, source);
    start.completeTokenizer(said, source);
  }

  /// The name that says whose tokenizer a run has: a path, or the name of a built-in one.
  private String tokenizerName() {
    Path file = folder.resolve(Tokenizers.FILE_NAME);
    @Nullable String builtIn = stored.tokenizer();
    if (!Files.exists(file) && builtIn != null) {
      return builtIn;
    }
    return file.toString();
  }

  /// The folder's tokenizer; the caller closes it.
  public Tokenizer tokenizer() {
    List<Integer> ends = SpecialTokens.read(folder, stored).ends();
    Tokenizer tokenizer =
        Tokenizers.open(folder, stored.tokenizer(), ends.isEmpty() ? null : ends.getFirst());
    if (tokenizer.vocabSize() > stored.model().vocabSize()) {
      int ids = tokenizer.vocabSize();
      tokenizer.close();
      throw new InvalidInputException(
          "from (%s): the tokenizer has %d ids, but the model %d; they belong to different models"
              .formatted(folder, ids, stored.model().vocabSize()));
    }
    return tokenizer;
  }

  /// The model with the settings of a run that no weight depends on.
  ///
  /// @param wanted the model of the run, its vocabulary aside
  /// @throws InvalidInputException if it is another architecture
  public ModelConfig model(ModelConfig wanted) {
    ObjectNode keys = architecture(wanted);
    refuseOther("", architecture(stored.model()), keys, "");
    ObjectNode free = keys.objectNode();
    for (String key : FREE) {
      if (keys.has(key)) {
        free.set(key, keys.get(key));
      }
    }
    return bind(free, "");
  }

  private void completeModel(ObjectNode said, String source) {
    ObjectNode given =
        said.get(MODEL) instanceof ObjectNode section ? section.deepCopy() : said.objectNode();
    if (given.has(VOCAB_SIZE)) {
      return; // refused for every run
    }
    String type = stored.model().modelType();
    JsonNode givenType = given.remove(MODEL_TYPE);
    if (givenType != null && !givenType.asText().equals(type)) {
      throw disagrees(MODEL_TYPE, givenType.asText(), type, source);
    }
    ModelConfig bound;
    try {
      bound = bind(given, source);
    } catch (UnknownKeyException e) {
      throw RunKeys.unknown(e, said, RunConfig.DEFAULT.treeFor(said), source);
    }
    ObjectNode laid = architecture(bound);
    refuseOther("", architecture(stored.model()), laid, source);
    ObjectNode keys = laid.objectNode().put(MODEL_TYPE, type);
    keys.setAll(laid);
    said.set(MODEL, keys);
  }

  private ModelConfig bind(ObjectNode keys, String source) {
    return switch (stored.model()) {
      case PaperModelConfig paper -> PaperConfigKeys.bind(keys, paper, source, "model.");
      case LargeModelConfig large -> LargeConfigKeys.bind(keys, large, source, "model.");
    };
  }

  private static ObjectNode architecture(ModelConfig model) {
    ObjectNode keys =
        switch (model) {
          case PaperModelConfig paper -> PaperConfigKeys.toTree(paper);
          case LargeModelConfig large -> LargeConfigKeys.toTree(large);
        };
    return keys.remove(OF_VOCABULARY);
  }

  private void refuseOther(String path, ObjectNode theirs, ObjectNode wanted, String source) {
    for (var entry : wanted.properties()) {
      String key = path + entry.getKey();
      JsonNode stands = theirs.path(entry.getKey());
      if (FREE.contains(key) || entry.getValue().equals(stands)) {
        continue;
      }
      if (entry.getValue() instanceof ObjectNode w && stands instanceof ObjectNode t) {
        refuseOther(key + ".", t, w, source);
      } else {
        String shown = stands.isMissingNode() ? "not there" : stands.toString();
        throw disagrees(key, entry.getValue().toString(), shown, source);
      }
    }
  }

  private InvalidInputException disagrees(String key, String said, String stands, String source) {
    return new InvalidInputException(
        "%smodel.%s is %s, but %s in the model of from (%s); leave it out"
            .formatted(RunConfig.prefix(source), key, said, stands, folder));
  }

  private void completeTokenizer(ObjectNode said, String source) {
    ObjectNode data = said.get(DATA) instanceof ObjectNode section ? section : said.putObject(DATA);
    try (Tokenizer own = tokenizer()) {
      JsonNode given = data.get(TOKENIZER);
      if (given != null && !isOwn(given.asText(), own)) {
        throw new InvalidInputException(
            "%sdata.tokenizer is %s, but %s in the model of from (%s); leave it out"
                .formatted(RunConfig.prefix(source), given.asText(), tokenizerName(), folder));
      }
      JsonNode size = data.get(VOCAB_SIZE);
      if (size != null && size.asInt() != own.vocabSize()) {
        throw new InvalidInputException(
            "%sdata.vocab_size is %s, but the tokenizer in the model of from (%s) has %d; leave it out"
                .formatted(RunConfig.prefix(source), size, folder, own.vocabSize()));
      }
    }
    data.remove(VOCAB_SIZE); // agrees, and only a trained tokenizer has the key
    data.put(TOKENIZER, tokenizerName());
  }

  private boolean isOwn(String given, Tokenizer own) {
    if (given.equals(tokenizerName())) {
      return true;
    }
    if (given.equals(DataConfig.TRAINED) || !Files.isRegularFile(Path.of(given))) {
      return false;
    }
    try (Tokenizer other = Tokenizers.fromFile(Path.of(given))) {
      return other.fingerprint().equals(own.fingerprint());
    }
  }
}
