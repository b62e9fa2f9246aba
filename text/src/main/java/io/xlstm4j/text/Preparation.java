package io.xlstm4j.text;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Encodes a corpus once into a folder of token shards, which `PreparedTokens` opens.
///
/// The work is done in a folder beside, `OUT.unfinished`, which gets its name at the very end; so a
/// folder that is there is whole. What an interrupted preparation has finished, shard by shard, is
/// used by the next one with the same corpus, tokenizer and size of shards.
///
/// @param corpus what to encode
/// @param tokenizer `bpe` (trained on the corpus), `bytes`, `gpt2`, or the path of a
///   `tokenizer.json`
/// @param vocabSize tokens of a trained BPE; nothing else reads it
/// @param shardTokens a shard ends with the document that reaches so many
public record Preparation(Corpus corpus, String tokenizer, int vocabSize, long shardTokens) {
  /// Tokens of a shard if nothing else is said: 200 MB of 16-bit ids.
  public static final long DEFAULT_SHARD_TOKENS = 100_000_000;

  /// The tokenizer that is trained on the corpus.
  public static final String TRAINED = "bpe";

  private static final String UNFINISHED = ".unfinished";
  private static final String PLAN = "plan.txt";
  private static final String LOCK = "lock";
  private static final List<String> NOTHING_DONE = List.of(PLAN, LOCK);
  private static final Pattern OURS =
      Pattern.compile(
          "(plan\\.txt|tokens\\.json|tokenizer\\.json|(train|validation)-\\d{5,}\\.tokens)"
              + "(\\.unfinished-[-\\d]+)?|lock");

  public Preparation {
    if (shardTokens < 1) {
      throw new IllegalArgumentException("shardTokens (" + shardTokens + ") must be positive");
    }
  }

  /// Receives progress of the preparation.
  public interface Listener {
    /// A stage begins.
    void onStage(String what);

    /// One more document of a part is done.
    ///
    /// @param documents so far, those of an earlier, interrupted preparation included
    /// @param textBytes of them
    /// @param tokens of them
    void onDocument(Split split, long documents, long textBytes, long tokens);
  }

  /// The outcome of a preparation.
  public enum Outcome {
    /// The folder was made.
    PREPARED,
    /// The folder was made, partly from what an interrupted preparation had left.
    CONTINUED,
    /// The folder was there, with the tokens of this corpus and tokenizer.
    ALREADY_THERE
  }

  /// @param out folder to make; missing or empty, or one that holds these very tokens
  /// @throws InvalidTextException if anything about the input is wrong, or `out` holds something
  ///   else
  /// @throws UncheckedIOException if the disk refuses; a later run goes on from there
  public Outcome run(Path out, Listener listener) {
    Path target = out.toAbsolutePath().normalize();
    listener.onStage("reading " + corpus.name());
    String recipe = recipe();
    if (PreparedTokens.isPrepared(target)) {
      checkSame(out, recipe);
      return Outcome.ALREADY_THERE;
    }
    Path name = target.getFileName();
    if (name == null || (Files.exists(target) && !isEmptyFolder(target))) {
      throw new InvalidTextException(
          out + ": is there and holds no prepared tokens; give a new folder, or an empty one");
    }
    Path work = target.resolveSibling(name + UNFINISHED);
    try {
      Files.createDirectories(work);
      boolean continued;
      try (var channel =
              FileChannel.open(
                  work.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
          var _ = lock(channel, work)) {
        continued = make(work, recipe, listener);
      }
      Files.delete(work.resolve(LOCK));
      Files.deleteIfExists(target); // an empty folder
      Files.move(work, target, StandardCopyOption.ATOMIC_MOVE);
      Path parent = target.getParent();
      if (parent != null) {
        AtomicFile.sync(parent);
      }
      return continued ? Outcome.CONTINUED : Outcome.PREPARED;
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write " + work + ": " + ErrorReason.of(e), e);
    }
  }

  private boolean make(Path work, String recipe, Listener listener) throws IOException {
    try {
      return new Work(work, listener).make(recipe);
    } catch (RuntimeException e) {
      removeIfUseless(work);
      throw e;
    }
  }

  /// Returns the recipe of the tokenizer; equal recipes on equal corpora give equal tokenizers.
  private String recipe() {
    return switch (tokenizer) {
      case TRAINED -> {
        new BpeTrainer(vocabSize); // refuses a wrong size
        yield TRAINED + " " + vocabSize;
      }
      case ByteTokenizer.NAME, Gpt2Tokenizer.NAME -> tokenizer;
      default -> {
        Path file = Path.of(tokenizer);
        if (!Files.isRegularFile(file)) {
          throw new InvalidTextException(
              "tokenizer ("
                  + tokenizer
                  + ") must be bpe, bytes, gpt2 or the path of a tokenizer.json");
        }
        Tokenizers.fromFile(file).close(); // refuses a wrong one
        yield "file " + Fingerprint.ofFile(file);
      }
    };
  }

  private void checkSame(Path out, String recipe) {
    PreparedManifest there = PreparedManifest.read(out.resolve(PreparedManifest.FILE_NAME));
    boolean sameCorpus = there.corpus().fingerprint().equals(corpus.fingerprint());
    if (!sameCorpus || !there.tokenizer().recipe().equals(recipe)) {
      throw new InvalidTextException(
          "%s: holds the tokens of %s (%s), not of %s (%s)%s; give another folder, or remove it"
              .formatted(
                  out,
                  there.corpus().name(),
                  there.tokenizer().recipe(),
                  corpus.name(),
                  recipe,
                  sameCorpus ? "" : "; the text differs"));
    }
  }

  private static boolean isEmptyFolder(Path path) {
    try (Stream<Path> files = Files.list(path)) {
      return files.findAny().isEmpty();
    } catch (IOException e) {
      return false; // a file, or not to be read
    }
  }

  /// Leaves a folder only if a later preparation finds something in it.
  private static void removeIfUseless(Path work) throws IOException {
    try (Stream<Path> files = Files.list(work)) {
      if (!files.allMatch(file -> NOTHING_DONE.contains(file.getFileName().toString()))) {
        return;
      }
    }
    for (String name : NOTHING_DONE) {
      Files.deleteIfExists(work.resolve(name));
    }
    Files.delete(work);
  }

  private static FileLock lock(FileChannel channel, Path work) throws IOException {
    FileLock lock;
    try {
      lock = channel.tryLock();
    } catch (OverlappingFileLockException e) {
      lock = null;
    }
    if (lock == null) {
      throw new InvalidTextException(
          work + ": another program is preparing there; wait for it or give another folder");
    }
    return lock;
  }

  /// The preparation inside its folder.
  private final class Work {
    private final Path folder;
    private final Listener listener;
    private boolean continued;

    Work(Path folder, Listener listener) {
      this.folder = folder;
      this.listener = listener;
    }

    /// @return whether something was there already
    boolean make(String recipe) throws IOException {
      takeOver(recipe);
      try (Tokenizer made = makeTokenizer()) {
        PreparedManifest.Part train = part(Split.TRAIN, made);
        PreparedManifest.Part validation = part(Split.VALIDATION, made);
        new PreparedManifest(
                PreparedManifest.FORMAT,
                PreparedManifest.VERSION,
                new PreparedManifest.CorpusEntry(corpus.name(), corpus.fingerprint()),
                new PreparedManifest.TokenizerEntry(
                    made.name(),
                    recipe,
                    made.fingerprint(),
                    !Files.exists(folder.resolve(Tokenizers.FILE_NAME)),
                    made.vocabSize(),
                    made.endOfText()),
                train,
                validation)
            .write(folder.resolve(PreparedManifest.FILE_NAME));
      }
      Files.delete(folder.resolve(PLAN));
      return continued;
    }

    /// Keeps what an interrupted preparation with the same plan has left, and nothing else.
    private void takeOver(String recipe) throws IOException {
      List<Path> files;
      try (Stream<Path> all = Files.list(folder)) {
        files = all.sorted().toList();
      }
      for (Path file : files) {
        if (!OURS.matcher(file.getFileName().toString()).matches() || !Files.isRegularFile(file)) {
          throw new InvalidTextException(
              file + ": in the way, and not of a preparation; move it or give another folder");
        }
      }
      String plan =
          "xlstm4j tokens, version %d\ncorpus %s\ntokenizer %s\nshard tokens %d\n"
              .formatted(PreparedManifest.VERSION, corpus.fingerprint(), recipe, shardTokens);
      Path planFile = folder.resolve(PLAN);
      boolean same = Files.exists(planFile) && Files.readString(planFile).equals(plan);
      for (Path file : files) {
        String name = file.getFileName().toString();
        boolean whole = !name.contains(AtomicFile.UNFINISHED);
        if (!name.equals(LOCK) && !(same && whole)) {
          Files.delete(file);
        }
      }
      if (!same) {
        AtomicFile.write(planFile, plan.getBytes(StandardCharsets.UTF_8));
      }
    }

    private Tokenizer makeTokenizer() throws IOException {
      if (tokenizer.equals(ByteTokenizer.NAME) || tokenizer.equals(Gpt2Tokenizer.NAME)) {
        return Tokenizers.builtIn(tokenizer);
      }
      Path file = folder.resolve(Tokenizers.FILE_NAME);
      if (Files.exists(file)) {
        continued = true;
      } else if (tokenizer.equals(TRAINED)) {
        listener.onStage(
            "training a BPE tokenizer of %d tokens on %s".formatted(vocabSize, corpus.name()));
        try (Stream<String> documents = corpus.documents(Split.TRAIN)) {
          new BpeTrainer(vocabSize).train(documents).save(file);
        }
      } else {
        AtomicFile.write(file, Files.readAllBytes(Path.of(tokenizer)));
      }
      return Tokenizers.fromFile(file);
    }

    private PreparedManifest.Part part(Split split, Tokenizer made) throws IOException {
      String fingerprint = TokenFile.fingerprint(corpus, split, made);
      List<TokenHeader> headers = finishedShards(split, fingerprint);
      if (headers.isEmpty() || !headers.getLast().last()) {
        encode(split, new TokenWriter.Part(made, fingerprint, shardTokens), headers);
      }
      List<PreparedManifest.Shard> shards = new ArrayList<>();
      for (TokenHeader header : headers) {
        String name = PreparedManifest.shardName(split, header.shard());
        shards.add(
            new PreparedManifest.Shard(
                name,
                header.fileSize(),
                header.tokens(),
                header.documents(),
                header.textBytes(),
                Fingerprint.ofFile(folder.resolve(name))));
      }
      return new PreparedManifest.Part(
          headers.stream().mapToLong(TokenHeader::tokens).sum(),
          headers.stream().mapToLong(TokenHeader::documents).sum(),
          headers.stream().mapToLong(TokenHeader::textBytes).sum(),
          fingerprint,
          shards);
    }

    /// The shards that are there and whole, up to the first that is not; what lies behind is
    /// deleted.
    private List<TokenHeader> finishedShards(Split split, String fingerprint) throws IOException {
      List<TokenHeader> headers = new ArrayList<>();
      boolean whole = true;
      for (int number = 0; ; number++) {
        Path file = folder.resolve(PreparedManifest.shardName(split, number));
        if (!Files.exists(file)) {
          return headers;
        }
        TokenHeader header = whole ? headerIfWhole(file) : null;
        whole =
            header != null
                && header.shard() == number
                && header.fingerprint().equals(fingerprint)
                && (headers.isEmpty() || !headers.getLast().last());
        if (whole && header != null) {
          headers.add(header);
          continued = true;
        } else {
          Files.delete(file);
        }
      }
    }

    private static @Nullable TokenHeader headerIfWhole(Path file) throws IOException {
      try (var shard = TokenShard.open(file)) {
        return shard.header();
      } catch (TokenHeader.NotOurs | TokenHeader.Damaged _) {
        return null; // it is made again
      }
    }

    /// Makes the shards that are missing, and adds their headers.
    private void encode(Split split, TokenWriter.Part part, List<TokenHeader> headers) {
      listener.onStage(
          "encoding %s: %s".formatted(corpus.name(), split.name().toLowerCase(Locale.ROOT)));
      try (Stream<String> texts = corpus.documents(split)) {
        Iterator<String> rest = texts.iterator();
        var progress = new Progress(split, headers);
        for (long skipped = 0; skipped < progress.documents; skipped++) {
          rest.next();
        }
        var documents = new EncodedDocuments(rest, part.tokenizer());
        TokenFile.checkAny(documents, corpus, split);
        while (documents.hasNext()) {
          int number = headers.size();
          AtomicFile.write(
              folder.resolve(PreparedManifest.shardName(split, number)),
              file ->
                  headers.add(
                      TokenWriter.write(file, documents, part, number, progress::onDocument)));
        }
      }
    }

    private final class Progress {
      private final Split split;
      private long documents;
      private long textBytes;
      private long tokens;

      Progress(Split split, List<TokenHeader> before) {
        this.split = split;
        for (TokenHeader header : before) {
          documents += header.documents();
          textBytes += header.textBytes();
          tokens += header.tokens();
        }
      }

      void onDocument(EncodedDocuments.Encoded document) {
        documents++;
        textBytes += document.bytes();
        tokens += 1 + document.ids().length;
        listener.onDocument(split, documents, textBytes, tokens);
      }
    }
  }
}
