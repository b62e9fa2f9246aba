package io.xlstm4j.text;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;

/// Any `tokenizer.json`, through the library that defines the format.
///
/// The native object is called directly, not through the library's own Java classes: those copy
/// eight arrays for each text where we need one, and ask the network where they run.
final class JsonTokenizer implements Tokenizer {
  /// Names of the end-of-text token in vocabularies, best first.
  private static final List<String> END_NAMES =
      List.of(END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "<EOS>");

  /// No vocabulary is larger; a file that claims to be one is refused unread.
  private static final long MAX_BYTES = 256 << 20;

  /// Ids without a token that a vocabulary may have, and more if it has many tokens: an id decides
  /// how much memory is taken, so it must not be far beyond what the file holds.
  private static final int MOST_HOLES = 1 << 16;

  private static final int NO_END = -1;

  private static final int CACHED_WORDS = 1 << 17;
  private static final int LONGEST_CACHED_WORD = 32;

  private static final Map<String, String> LOAD_SETTINGS =
      Map.of("RUST_FLAVOR", "cpu", "ai.djl.offline", "true");

  private static final ObjectMapper JSON = new ObjectMapper();

  private final String fingerprint;
  private final String[] tokens; // by id; holes are empty
  private final int endOfText; // or NO_END
  private final Path file;
  private final byte @Nullable [][] bytes; // by id, if the decoder only joins bytes
  private final boolean cachesWords;
  private final Map<String, int[]> idsOfWord = new ConcurrentHashMap<>();

  private final ReadWriteLock lock = new ReentrantReadWriteLock(); // closing waits for users
  private final long encoder;
  private final long decoder; // 0 if bytes are enough
  private boolean closed;

  /// @param wantedEnd the id that a model's configuration gives for the end of text, or null; taken
  ///   if it is a token of its own and no word
  static JsonTokenizer open(Path file, @Nullable Integer wantedEnd) {
    byte[] content;
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw new InvalidTextException(
            String.format(
                Locale.ROOT, "%s: %,d bytes are too many for a tokenizer", file, Files.size(file)));
      }
      content = Files.readAllBytes(file);
    } catch (IOException e) {
      throw new InvalidTextException(file + ": cannot read the tokenizer: " + ErrorReason.of(e), e);
    }
    JsonNode root;
    try {
      root = JSON.readTree(content);
    } catch (JsonProcessingException e) {
      String first = e.getOriginalMessage().lines().findFirst().orElse("");
      String reason = first.replaceFirst(" \\(start marker at .*]\\)", "");
      throw new InvalidTextException(file + ": not JSON: " + reason, e);
    } catch (IOException e) {
      throw new InvalidTextException(file + ": not JSON: " + ErrorReason.of(e), e);
    }
    JsonNode vocab = root.path("model").path("vocab");
    if (!(root instanceof ObjectNode object) || !vocab.isContainerNode()) {
      throw new InvalidTextException(
          file + ": has no model.vocab; a tokenizer.json of Hugging Face has one");
    }
    return new JsonTokenizer(file, object, Fingerprint.of(content), wantedEnd);
  }

  private JsonTokenizer(
      Path file, ObjectNode root, String fingerprint, @Nullable Integer wantedEnd) {
    this.file = file;
    this.fingerprint = fingerprint;
    Map<Integer, String> byId = readVocabulary(file, root);
    Set<String> specials = new HashSet<>();
    for (JsonNode token : root.path("added_tokens")) {
      if (token.path("special").asBoolean()) {
        specials.add(token.path("content").asText());
      }
    }
    int size = byId.keySet().stream().mapToInt(id -> id + 1).max().orElse(0);
    tokens = new String[size];
    Arrays.fill(tokens, "");
    byId.forEach((id, token) -> tokens[id] = token);
    endOfText = findEnd(root, byId, specials, wantedEnd);
    if (endOfText != NO_END) {
      specials.add(tokens[endOfText]);
    }

    boolean joinsBytes = root.path("decoder").path("type").asText().equals("ByteLevel");
    if (joinsBytes) {
      bytes = new byte[size][];
      for (int id = 0; id < size; id++) {
        bytes[id] = ByteLetters.bytesOf(tokens[id]);
      }
    } else {
      bytes = null;
    }
    ObjectNode plain = withoutSpecials(root, specials);
    cachesWords = isPlainByteLevel(plain);
    encoder = create(file, plain);
    try {
      decoder = joinsBytes ? 0 : create(file, root);
    } catch (RuntimeException e) {
      TokenizersLibrary.LIB.deleteTokenizer(encoder);
      throw e;
    }
  }

  @Override
  public String name() {
    return Tokenizers.FILE_NAME;
  }

  @Override
  public String fingerprint() {
    return fingerprint;
  }

  @Override
  public int vocabSize() {
    return tokens.length;
  }

  @Override
  public boolean hasEndOfText() {
    return endOfText != NO_END;
  }

  @Override
  public int endOfText() {
    if (endOfText == NO_END) {
      throw new InvalidTextException(
          "%s: no token ends a text, and one is needed here; it must be named by eos_token_id of the model's configuration, or be one of %s"
              .formatted(file, String.join(" ", END_NAMES)));
    }
    return endOfText;
  }

  @Override
  public int[] encode(String text) {
    String wellFormed = WellFormed.of(text);
    lock.readLock().lock();
    try {
      checkOpen();
      return cachesWords && isAscii(wellFormed)
          ? encodeWords(wellFormed)
          : encodeNatively(wellFormed);
    } finally {
      lock.readLock().unlock();
    }
  }

  @Override
  public List<int[]> encodeAll(List<String> texts) {
    return texts.parallelStream().map(this::encode).toList();
  }

  @Override
  public String decode(int[] ids) {
    if (bytes != null) {
      return Utf8StreamDecoder.decode(this::bytesOf, ids);
    }
    long[] wide = new long[ids.length];
    for (int i = 0; i < ids.length; i++) {
      wide[i] = Objects.checkIndex(ids[i], tokens.length);
    }
    lock.readLock().lock();
    try {
      checkOpen();
      return wide.length == 0 ? "" : TokenizersLibrary.LIB.decode(decoder, wide, false);
    } finally {
      lock.readLock().unlock();
    }
  }

  @Override
  public StreamDecoder streamDecoder() {
    return bytes != null
        ? new Utf8StreamDecoder(this::bytesOf)
        : new WindowStreamDecoder(this::decode, this::isByteToken);
  }

  @Override
  public void close() {
    lock.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        TokenizersLibrary.LIB.deleteTokenizer(encoder);
        if (decoder != 0) {
          TokenizersLibrary.LIB.deleteTokenizer(decoder);
        }
      }
    } finally {
      lock.writeLock().unlock();
    }
  }

  private void checkOpen() {
    if (closed) { // the native object is gone: a call would crash the process
      throw new IllegalStateException("the tokenizer is closed");
    }
  }

  private byte[] bytesOf(int id) {
    return Objects.requireNonNull(bytes)[Objects.checkIndex(id, tokens.length)];
  }

  private boolean isByteToken(int id) {
    String token = tokens[Objects.checkIndex(id, tokens.length)];
    return token.length() == 6 && token.startsWith("<0x") && token.endsWith(">");
  }

  private int[] encodeNatively(String text) {
    long encoding = TokenizersLibrary.LIB.encode(encoder, text, false);
    try {
      long[] wide = TokenizersLibrary.LIB.getTokenIds(encoding);
      int[] ids = new int[wide.length];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = (int) wide[i];
      }
      return ids;
    } finally {
      TokenizersLibrary.LIB.deleteEncoding(encoding);
    }
  }

  /// The same ids word by word, so that a word's second time costs a look-up.
  private int[] encodeWords(String text) {
    var ids = new IntList(text.length() / 3);
    for (int start = 0; start < text.length(); ) {
      int end = Words.end(text, start);
      String word = text.substring(start, end);
      int @Nullable [] known = idsOfWord.get(word);
      if (known == null) {
        known = encodeNatively(word);
        if (word.length() <= LONGEST_CACHED_WORD && idsOfWord.size() < CACHED_WORDS) {
          idsOfWord.put(word, known);
        }
      }
      ids.addAll(known);
      start = end;
    }
    return ids.toArray();
  }

  /// Returns whether every word is encoded by itself, and the words are those of `Words`.
  private static boolean isPlainByteLevel(ObjectNode root) {
    JsonNode model = root.path("model");
    JsonNode words = root.path("pre_tokenizer");
    return model.path("type").asText().equals("BPE")
        && model.path("dropout").asDouble() == 0
        && isAbsent(model.path("continuing_subword_prefix"))
        && isAbsent(model.path("end_of_word_suffix"))
        && isAbsent(root.path("normalizer"))
        && root.path("added_tokens").isEmpty()
        && words.path("type").asText().equals("ByteLevel")
        && !words.path("add_prefix_space").asBoolean(true)
        && words.path("use_regex").asBoolean(true);
  }

  private static boolean isAbsent(JsonNode node) {
    return node.isMissingNode() || node.isNull() || node.equals(TextNode.valueOf(""));
  }

  /// Beyond ASCII, which characters are letters depends on the Unicode version of the library.
  private static boolean isAscii(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (text.charAt(i) >= 0x80) {
        return false;
      }
    }
    return true;
  }

  private static SortedMap<Integer, String> readVocabulary(Path file, ObjectNode root) {
    var byId = new TreeMap<Integer, String>();
    JsonNode vocab = root.path("model").path("vocab");
    if (vocab.isArray()) { // Unigram: a list of pieces with their scores
      for (JsonNode piece : vocab) {
        byId.put(byId.size(), piece.path(0).asText());
      }
    } else {
      for (Map.Entry<String, JsonNode> entry : vocab.properties()) {
        byId.put(checkedId(file, entry.getKey(), entry.getValue()), entry.getKey());
      }
    }
    for (JsonNode token : root.path("added_tokens")) {
      String content = token.path("content").asText();
      byId.put(checkedId(file, content, token.path("id")), content);
    }
    requireFewHoles(file, byId);
    return byId;
  }

  private static int checkedId(Path file, String token, JsonNode id) {
    if (!id.isInt() || id.asInt() < 0) {
      throw new InvalidTextException(
          "%s: token %s has the id %s; an id is a whole number from 0 on"
              .formatted(file, shown(token), id.isMissingNode() ? "(none)" : shown(id.toString())));
    }
    return id.asInt();
  }

  private static void requireFewHoles(Path file, SortedMap<Integer, String> byId) {
    if (!byId.isEmpty() && byId.lastKey() - MOST_HOLES > 4L * byId.size()) {
      throw new InvalidTextException(
          "%s: token %s has the id %d, but there are only %d tokens; ids must be nearly without holes"
              .formatted(
                  file, shown(byId.getOrDefault(byId.lastKey(), "")), byId.lastKey(), byId.size()));
    }
  }

  private static String shown(String text) {
    return text.length() <= 60 ? text : text.substring(0, 57) + "...";
  }

  /// The id that the configuration gives, if it is an added token or named like an end; else a
  /// special token of that name; else any token of that name.
  ///
  /// @param specials texts of the special tokens
  private static int findEnd(
      ObjectNode root, Map<Integer, String> byId, Set<String> specials, @Nullable Integer wanted) {
    if (wanted != null) {
      String token = byId.get(wanted);
      boolean ownToken = false;
      for (JsonNode added : root.path("added_tokens")) {
        ownToken |= added.path("id").asInt(NO_END) == wanted;
      }
      if (token != null && (ownToken || END_NAMES.contains(token))) {
        return wanted;
      }
    }
    int lookalike = NO_END;
    for (String name : END_NAMES) {
      for (Map.Entry<Integer, String> token : byId.entrySet()) {
        if (token.getValue().equals(name)) {
          if (specials.contains(name)) {
            return token.getKey();
          }
          lookalike = lookalike == NO_END ? token.getKey() : lookalike;
        }
      }
    }
    return lookalike;
  }

  /// A tokenizer that cannot find special tokens in text, and neither cuts nor pads.
  private static ObjectNode withoutSpecials(ObjectNode root, Set<String> specials) {
    ObjectNode plain = root.deepCopy();
    plain.putNull("truncation");
    plain.putNull("padding");
    plain.putNull("post_processor");
    ObjectNode model = (ObjectNode) plain.path("model");
    Set<String> pieces = piecesOf(model);
    ArrayNode added = plain.putArray("added_tokens");
    for (JsonNode token : root.path("added_tokens")) {
      String content = token.path("content").asText();
      if (!specials.contains(content)) {
        added.add(token);
      } else if (!pieces.contains(content)) {
        // the ids of added tokens follow from their order, so this one stays, under another name
        added.add(((ObjectNode) token.deepCopy()).put("content", unwritable(content)));
      }
    }
    hideSpecials(model, specials);
    return plain;
  }

  /// Hides special tokens from models that take a piece of text for a token as it is; BPE does so
  /// only if it ignores merges.
  private static void hideSpecials(ObjectNode model, Set<String> specials) {
    JsonNode vocab = model.path("vocab");
    if (vocab.isArray()) {
      for (JsonNode piece : vocab) {
        if (specials.contains(piece.path(0).asText())) {
          ((ArrayNode) piece).set(0, unwritable(piece.path(0).asText()));
        }
      }
    } else if (!model.path("type").asText().equals("BPE")
        || model.path("ignore_merges").asBoolean()) {
      String unknown = model.path("unk_token").asText(); // the model looks it up by name
      ObjectNode renamed = JSON.createObjectNode();
      for (Map.Entry<String, JsonNode> entry : vocab.properties()) {
        String piece = entry.getKey();
        boolean hide = specials.contains(piece) && !piece.equals(unknown);
        renamed.set(hide ? unwritable(piece) : piece, entry.getValue());
      }
      model.set("vocab", renamed);
    }
  }

  private static Set<String> piecesOf(JsonNode model) {
    Set<String> pieces = new HashSet<>();
    JsonNode vocab = model.path("vocab");
    if (vocab.isArray()) {
      vocab.forEach(piece -> pieces.add(piece.path(0).asText()));
    } else {
      vocab.fieldNames().forEachRemaining(pieces::add);
    }
    return pieces;
  }

  /// A name that text does not contain: noncharacters are never interchanged.
  private static String unwritable(String content) {
    return "\uFDD0" + content + "\uFDD1";
  }

  private static long create(Path file, ObjectNode root) {
    loadLibrary();
    try {
      return TokenizersLibrary.LIB.createTokenizerFromString(JSON.writeValueAsString(root));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    } catch (RuntimeException e) {
      String reason = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
      throw new InvalidTextException(file + ": not a usable tokenizer: " + reason, e);
    }
  }

  /// Loads the native library for the CPU from the jar, with no look at the network.
  private static synchronized void loadLibrary() {
    List<String> ours = new ArrayList<>();
    LOAD_SETTINGS.forEach((key, value) -> {
      if (System.getProperty(key) == null) {
        System.setProperty(key, value);
        ours.add(key);
      }
    });
    try {
      LibUtils.checkStatus();
    } catch (RuntimeException e) {
      throw new IllegalStateException("cannot load the tokenizer library: " + e.getMessage(), e);
    } finally {
      ours.forEach(System::clearProperty); // the program may use that library for other things
    }
  }
}
