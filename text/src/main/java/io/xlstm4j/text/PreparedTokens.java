package io.xlstm4j.text;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// A folder of tokens made once and for all by `Preparation`: both parts of a corpus in shards, and
/// the tokenizer.
///
/// Safe to read by several threads until it is closed. `docs/data.md` has the layout.
public final class PreparedTokens implements AutoCloseable {
  private static final String REMEDY = "; remove the folder and prepare it again";

  private final Path folder;
  private final PreparedManifest manifest;
  private final Tokenizer tokenizer;
  private final ShardedTokens train;
  private final ShardedTokens validation;

  private PreparedTokens(
      Path folder,
      PreparedManifest manifest,
      Tokenizer tokenizer,
      ShardedTokens train,
      ShardedTokens validation) {
    this.folder = folder;
    this.manifest = manifest;
    this.tokenizer = tokenizer;
    this.train = train;
    this.validation = validation;
  }

  /// Returns whether a folder says that it holds prepared tokens.
  public static boolean isPrepared(Path folder) {
    return Files.isRegularFile(folder.resolve(PreparedManifest.FILE_NAME));
  }

  /// Maps all shards and checks them: sizes, headers, the CRC-32C of all ids.
  ///
  /// @throws InvalidTextException that names the file, if one is missing, damaged, or not the one
  ///   that was prepared
  public static PreparedTokens open(Path folder) {
    Path file = folder.resolve(PreparedManifest.FILE_NAME);
    if (!Files.isRegularFile(file)) {
      throw new InvalidTextException(
          folder + ": no " + PreparedManifest.FILE_NAME + "; not a folder of prepared tokens");
    }
    PreparedManifest manifest = PreparedManifest.read(file);
    Tokenizer tokenizer = openTokenizer(folder, manifest.tokenizer());
    ShardedTokens train = null;
    try {
      train = openPart(folder, manifest, Split.TRAIN);
      ShardedTokens validation = openPart(folder, manifest, Split.VALIDATION);
      return new PreparedTokens(folder, manifest, tokenizer, train, validation);
    } catch (RuntimeException e) {
      if (train != null) {
        train.close();
      }
      tokenizer.close();
      throw e;
    }
  }

  private static Tokenizer openTokenizer(Path folder, PreparedManifest.TokenizerEntry entry) {
    Path file = folder.resolve(Tokenizers.FILE_NAME);
    Tokenizer tokenizer =
        entry.builtIn() ? Tokenizers.builtIn(entry.name()) : Tokenizers.fromFile(file);
    if (!tokenizer.fingerprint().equals(entry.fingerprint())
        || tokenizer.vocabSize() != entry.vocabSize()
        || tokenizer.endOfText() != entry.endOfText()) {
      tokenizer.close();
      throw new InvalidTextException(
          (entry.builtIn() ? folder : file)
              + ": not the tokenizer that the tokens were made with"
              + REMEDY);
    }
    return tokenizer;
  }

  private static ShardedTokens openPart(Path folder, PreparedManifest manifest, Split split) {
    PreparedManifest.Part part = manifest.part(split);
    int count = part.shards().size();
    var shards = new @Nullable TokenShard[count];
    boolean usable = false;
    try {
      inParallel(count, i -> shards[i] = openShard(folder, manifest, split, i));
      var tokens = new ShardedTokens(Arrays.asList(shards));
      if (tokens.size() != part.tokens()
          || tokens.documents() != part.documents()
          || tokens.textBytes() != part.textBytes()) {
        throw new InvalidTextException(
            folder.resolve(PreparedManifest.FILE_NAME)
                + ": the counts of a part are not those of its shards"
                + REMEDY);
      }
      usable = true;
      return tokens;
    } finally {
      if (!usable) {
        for (TokenShard shard : shards) {
          if (shard != null) {
            shard.close();
          }
        }
      }
    }
  }

  /// Does something for each shard, all of them even if some fail; then the first failure is
  /// thrown.
  private static void inParallel(int shards, IntConsumer task) {
    var failures = new @Nullable RuntimeException[shards];
    IntStream.range(0, shards)
        .parallel()
        .forEach(i -> {
          try {
            task.accept(i);
          } catch (RuntimeException e) {
            failures[i] = e;
          }
        });
    for (RuntimeException failure : failures) {
      if (failure != null) {
        throw failure;
      }
    }
  }

  private static TokenShard openShard(
      Path folder, PreparedManifest manifest, Split split, int number) {
    PreparedManifest.Part part = manifest.part(split);
    PreparedManifest.Shard entry = part.shards().get(number);
    Path path = folder.resolve(entry.file());
    TokenShard shard;
    try {
      shard = TokenShard.open(path);
    } catch (TokenHeader.Damaged e) {
      throw new InvalidTextException(path + ": the shard is damaged: " + e.what() + REMEDY, e);
    } catch (TokenHeader.NotOurs e) {
      throw new InvalidTextException(path + ": not a token file" + REMEDY, e);
    } catch (IOException e) {
      throw new InvalidTextException(path + ": cannot read the shard: " + ErrorReason.of(e), e);
    }
    TokenHeader header = shard.header();
    if (header.shard() != number
        || header.last() != (number == part.shards().size() - 1)
        || header.tokens() != entry.tokens()
        || header.documents() != entry.documents()
        || header.textBytes() != entry.textBytes()
        || header.vocabSize() != manifest.tokenizer().vocabSize()
        || header.endOfText() != manifest.tokenizer().endOfText()
        || !header.fingerprint().equals(part.fingerprint())) {
      shard.close();
      throw new InvalidTextException(
          path
              + ": not the shard that "
              + PreparedManifest.FILE_NAME
              + " says; it is of another part, place or preparation"
              + REMEDY);
    }
    return shard;
  }

  /// Reads everything and compares SHA-256: proves that no bit has changed since the preparation.
  ///
  /// @throws InvalidTextException that names the file, if one differs
  public void verify() {
    for (Split split : Split.values()) {
      PreparedManifest.Part part = manifest.part(split);
      inParallel(part.shards().size(), i -> verify(part.shards().get(i)));
    }
  }

  private void verify(PreparedManifest.Shard shard) {
    Path path = folder.resolve(shard.file());
    String now = Fingerprint.ofFile(path);
    if (!now.equals(shard.sha256())) {
      throw new InvalidTextException(
          "%s: SHA-256 is %.12s, %s says %.12s%s"
              .formatted(path, now, PreparedManifest.FILE_NAME, shard.sha256(), REMEDY));
    }
  }

  /// Returns the folder of the tokens.
  public Path folder() {
    return folder;
  }

  /// The corpus that was encoded, for people.
  public String corpusName() {
    return manifest.corpus().name();
  }

  /// The tokenizer of the tokens; closed with this.
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /// The tokenizer's name if it is built in; else null, and `tokenizer.json` lies in the folder.
  public @Nullable String builtInTokenizer() {
    return manifest.tokenizer().builtIn() ? manifest.tokenizer().name() : null;
  }

  /// The tokens of a part; closed with this.
  public Tokens tokens(Split split) {
    return switch (split) {
      case TRAIN -> train;
      case VALIDATION -> validation;
    };
  }

  /// Returns the number of files of a part.
  public int shards(Split split) {
    return manifest.part(split).shards().size();
  }

  /// Unmaps the shards and closes the tokenizer.
  @Override
  public void close() {
    train.close();
    validation.close();
    tokenizer.close();
  }
}
