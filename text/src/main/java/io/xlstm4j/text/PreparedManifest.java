package io.xlstm4j.text;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/// `tokens.json`: what a folder of prepared tokens holds. Written last, so that a folder with one
/// is whole.
///
/// @param format always `xlstm4j tokens`
/// @param version of the format
record PreparedManifest(
    String format,
    int version,
    CorpusEntry corpus,
    TokenizerEntry tokenizer,
    Part train,
    Part validation) {
  static final String FILE_NAME = "tokens.json";
  static final String FORMAT = "xlstm4j tokens";
  static final int VERSION = 1;

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
          .enable(SerializationFeature.INDENT_OUTPUT)
          .build();

  /// @param name for people
  /// @param fingerprint of its documents
  record CorpusEntry(String name, String fingerprint) {}

  /// @param name of a built-in one, or `tokenizer.json`
  /// @param recipe how it was asked for: `bpe 4096`, `bytes`, `gpt2`, `file` and a SHA-256
  /// @param fingerprint of the tokenizer; of a file its SHA-256
  /// @param builtIn whether it needs no file; else `tokenizer.json` lies in the folder
  record TokenizerEntry(
      String name,
      String recipe,
      String fingerprint,
      boolean builtIn,
      int vocabSize,
      int endOfText) {}

  /// One part of the corpus.
  record Part(
      long tokens, long documents, long textBytes, String fingerprint, List<Shard> shards) {}

  /// @param bytes of the file
  /// @param sha256 of the file, 64 hexadecimal digits
  record Shard(
      String file, long bytes, long tokens, long documents, long textBytes, String sha256) {}

  /// The file of a shard.
  static String shardName(Split split, int number) {
    return String.format(
        Locale.ROOT, "%s-%05d.tokens", split.name().toLowerCase(Locale.ROOT), number);
  }

  Part part(Split split) {
    return switch (split) {
      case TRAIN -> train;
      case VALIDATION -> validation;
    };
  }

  /// @throws InvalidTextException if the file is not what `write` leaves
  static PreparedManifest read(Path file) {
    PreparedManifest manifest;
    try {
      manifest = JSON.readValue(Files.readAllBytes(file), PreparedManifest.class);
    } catch (JsonProcessingException e) {
      throw new InvalidTextException(
          invalid(file, e.getOriginalMessage().lines().findFirst().orElse("not JSON")), e);
    } catch (IOException e) {
      throw new InvalidTextException(invalid(file, ErrorReason.of(e)), e);
    }
    if (manifest == null) {
      throw new InvalidTextException(invalid(file, "it is null"));
    }
    if (!manifest.format.equals(FORMAT) || manifest.version != VERSION) {
      throw new InvalidTextException(
          invalid(
              file,
              "it has format \"%s\", version %d; this program reads \"%s\", version %d"
                  .formatted(manifest.format, manifest.version, FORMAT, VERSION)));
    }
    for (Split split : Split.values()) {
      checkShards(file, split, manifest.part(split).shards);
    }
    return manifest;
  }

  private static void checkShards(Path file, Split split, List<Shard> shards) {
    if (shards.isEmpty()) {
      throw new InvalidTextException(invalid(file, "it lists no shard for " + shardName(split, 0)));
    }
    for (int i = 0; i < shards.size(); i++) {
      if (!shards.get(i).file.equals(shardName(split, i))) {
        throw new InvalidTextException(
            invalid(file, "it lists %s as %s".formatted(shards.get(i).file, shardName(split, i))));
      }
    }
  }

  private static String invalid(Path file, String what) {
    return file + ": not a manifest of prepared tokens: " + what;
  }

  /// @throws UncheckedIOException if the file cannot be written
  void write(Path file) {
    byte[] json;
    try {
      json = (JSON.writeValueAsString(this) + "\n").getBytes(StandardCharsets.UTF_8);
    } catch (JsonProcessingException e) {
      throw new UncheckedIOException(e);
    }
    AtomicFile.write(file, json);
  }
}
