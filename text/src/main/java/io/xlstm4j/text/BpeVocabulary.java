package io.xlstm4j.text;

import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/// A byte-level BPE vocabulary: what `BpeTrainer` learned.
public final class BpeVocabulary {
  /// Two tokens that become one.
  ///
  /// @param first id of the left token
  /// @param second id of the right token
  public record Merge(int first, int second) {}

  private final List<byte[]> tokens; // by id
  private final List<Merge> merges;

  BpeVocabulary(List<byte[]> tokens, List<Merge> merges) {
    this.tokens = List.copyOf(tokens);
    this.merges = List.copyOf(merges);
  }

  /// The number of tokens, the end of text included.
  public int size() {
    return tokens.size();
  }

  /// The merges in the order they are applied; merge number i makes token 257 + i.
  public List<Merge> merges() {
    return merges;
  }

  /// Writes a `tokenizer.json` that every Hugging Face library reads, whole or not at all. The same
  /// vocabulary always gives the same bytes.
  ///
  /// @throws UncheckedIOException if the file cannot be written
  public void save(Path tokenizerJson) {
    AtomicFile.write(tokenizerJson, toJson().getBytes(StandardCharsets.UTF_8));
  }

  private String toJson() {
    var mapper = new ObjectMapper();
    ObjectNode root = mapper.createObjectNode();
    root.put("version", "1.0").putNull("truncation").putNull("padding");
    root.putArray("added_tokens")
        .addObject()
        .put("id", 0)
        .put("content", Tokenizer.END_OF_TEXT)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", true);
    root.putNull("normalizer");
    byteLevel(root.putObject("pre_tokenizer"), false);
    root.putNull("post_processor");
    byteLevel(root.putObject("decoder"), true);
    ObjectNode model = root.putObject("model");
    model
        .put("type", "BPE")
        .putNull("dropout")
        .putNull("unk_token")
        .putNull("continuing_subword_prefix")
        .putNull("end_of_word_suffix")
        .put("fuse_unk", false)
        .put("byte_fallback", false)
        .put("ignore_merges", false);
    ObjectNode vocab = model.putObject("vocab");
    for (int id = 0; id < tokens.size(); id++) {
      vocab.put(written(id), id);
    }
    ArrayNode list = model.putArray("merges");
    for (Merge merge : merges) {
      list.addArray().add(written(merge.first())).add(written(merge.second()));
    }
    var printer =
        new DefaultPrettyPrinter(
            Separators.createDefaultInstance()
                .withObjectFieldValueSpacing(Separators.Spacing.AFTER)
                .withArrayEmptySeparator(""));
    var indenter = new DefaultIndenter("  ", "\n"); // the system's own line end would differ
    printer.indentArraysWith(indenter);
    printer.indentObjectsWith(indenter);
    try {
      return mapper.writer(printer).writeValueAsString(root);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void byteLevel(ObjectNode node, boolean addPrefixSpace) {
    node.put("type", "ByteLevel")
        .put("add_prefix_space", addPrefixSpace)
        .put("trim_offsets", true)
        .put("use_regex", true);
  }

  private String written(int id) {
    if (id == 0) {
      return Tokenizer.END_OF_TEXT;
    }
    byte[] bytes = tokens.get(id);
    var letters = new StringBuilder(bytes.length);
    for (byte b : bytes) {
      letters.append(ByteLetters.letter(b & 0xFF));
    }
    return letters.toString();
  }
}
