package io.xlstm4j.text;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;

/// One part of a corpus as token ids, in one memory-mapped file.
///
/// A header of 128 bytes, then the ids, two bytes each if the vocabulary allows, else four;
/// `docs/data.md` has the layout. A part in several files is `PreparedTokens`.
public final class TokenFile implements Tokens {
  private final TokenShard shard;

  private TokenFile(TokenShard shard) {
    this.shard = shard;
  }

  /// Maps a token file and checks all of it: header, length, checksums.
  ///
  /// @throws InvalidTextException if it is missing, damaged, or something else
  public static TokenFile open(Path path) {
    try {
      return openOurs(path);
    } catch (TokenHeader.NotOurs e) {
      throw notOurs(path, e);
    }
  }

  /// Opens the token file if it was made from this corpus with this tokenizer, else makes it.
  ///
  /// A damaged token file is made again; a file that is something else is left alone.
  ///
  /// @throws InvalidTextException if the corpus is invalid, or if `path` is some other file
  /// @throws java.io.UncheckedIOException if the file cannot be written
  public static TokenFile openOrBuild(Corpus corpus, Split split, Tokenizer tokenizer, Path path) {
    String fingerprint = fingerprint(corpus, split, tokenizer);
    if (Files.exists(path)) {
      try {
        TokenFile file = openOurs(path);
        if (file.fingerprint().equals(fingerprint)) {
          return file;
        }
        file.close();
      } catch (TokenHeader.NotOurs e) {
        throw notOurs(path, e);
      } catch (InvalidTextException e) {
        if (!Files.isRegularFile(path)) {
          throw e;
        }
        // damaged: a cache can be made again
      }
    }
    build(corpus, split, tokenizer, path);
    return open(path);
  }

  /// Encodes one part of a corpus into a file, whole or not at all. Memory does not grow with the
  /// corpus.
  ///
  /// @throws InvalidTextException if the corpus is invalid or has no document in this part
  /// @throws java.io.UncheckedIOException if the file cannot be written
  public static void build(Corpus corpus, Split split, Tokenizer tokenizer, Path path) {
    var part =
        new TokenWriter.Part(tokenizer, fingerprint(corpus, split, tokenizer), Long.MAX_VALUE);
    try (Stream<String> texts = corpus.documents(split)) {
      var documents = new EncodedDocuments(texts.iterator(), tokenizer);
      checkAny(documents, corpus, split);
      AtomicFile.write(path, file -> TokenWriter.write(file, documents, part, 0, _ -> {}));
    }
  }

  static void checkAny(EncodedDocuments documents, Corpus corpus, Split split) {
    if (!documents.hasNext()) {
      throw new InvalidTextException(
          corpus.name() + ": there is no document for " + split.name().toLowerCase(Locale.ROOT));
    }
  }

  static String fingerprint(Corpus corpus, Split split, Tokenizer tokenizer) {
    return Fingerprint.of(corpus.fingerprint(), split.name(), tokenizer.fingerprint());
  }

  @Override
  public long size() {
    return shard.header().tokens();
  }

  @Override
  public int get(long index) {
    return shard.get(index);
  }

  @Override
  public void read(long from, int[] into, int offset, int count) {
    shard.read(from, into, offset, count);
  }

  @Override
  public long documents() {
    return shard.header().documents();
  }

  @Override
  public long textBytes() {
    return shard.header().textBytes();
  }

  @Override
  public int endOfText() {
    return shard.header().endOfText();
  }

  @Override
  public int vocabSize() {
    return shard.header().vocabSize();
  }

  @Override
  public String fingerprint() {
    return shard.header().fingerprint();
  }

  @Override
  public String tokenizerFingerprint() {
    return shard.header().tokenizerFingerprint();
  }

  @Override
  public void close() {
    shard.close();
  }

  private static TokenFile openOurs(Path path) throws TokenHeader.NotOurs {
    try {
      TokenShard shard = TokenShard.open(path);
      if (shard.header().shard() != 0 || !shard.header().last()) {
        shard.close();
        throw new TokenHeader.Damaged(
            "it is shard " + shard.header().shard() + " of several, which go together");
      }
      return new TokenFile(shard);
    } catch (TokenHeader.Damaged e) {
      throw new InvalidTextException(
          path
              + ": the token file is damaged: "
              + e.what()
              + "; remove it and it will be made again",
          e);
    } catch (IOException e) {
      throw new InvalidTextException(
          path + ": cannot read the token file: " + ErrorReason.of(e), e);
    }
  }

  private static InvalidTextException notOurs(Path path, TokenHeader.NotOurs e) {
    return new InvalidTextException(
        path + ": not a token file; give another path or remove the file", e);
  }
}
