package io.xlstm4j.text;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.PrimitiveIterator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Text files whose documents are split by hash; or, if all of the text is a single document, by
/// position.
final class FileCorpus implements Corpus {
  private static final String RECIPE =
      "files 1"; // goes up when the same files give other documents

  private final String name;
  private final List<Path> files;
  private final DocumentReader.Cut cut;
  private @Nullable Division division; // found when first needed
  private @Nullable String fingerprint;

  FileCorpus(String name, List<Path> files, DocumentReader.Cut cut) {
    this.name = name;
    this.files = List.copyOf(files);
    this.cut = cut;
  }

  @Override
  public String name() {
    return name;
  }

  /// The documents, or the part of one, that belong to a split.
  interface Division {
    Stream<String> select(Stream<String> documents, Split split);

    /// The share of the text that validates, about.
    double validationShare();

    /// Goes up when the same documents are divided otherwise; empty for the usual way.
    String recipe();
  }

  @Override
  public Stream<String> documents(Split split) {
    Division by = divided();
    return by.select(allDocuments(), split);
  }

  @Override
  public Stream<String> allDocuments() {
    return new FileDocuments(files, cut).stream();
  }

  @Override
  public boolean dividedHere() {
    return true;
  }

  @Override
  public @Nullable String division() {
    return divided() instanceof PositionSplit
        ? name
            + " as one document (there are neither "
            + DocumentReader.SEPARATOR
            + " nor blank lines to divide it): its first 90 % to train, its last 10 % to validate"
        : null;
  }

  @Override
  public long approximateBytes(Split split) {
    long all = bytesOf(files);
    long validation = (long) (all * divided().validationShare());
    return split == Split.VALIDATION ? validation : all - validation;
  }

  /// The size of all the files; those that cannot be read count nothing here.
  static long bytesOf(List<Path> files) {
    return files.stream().mapToLong(file -> file.toFile().length()).sum();
  }

  @Override
  public synchronized String fingerprint() {
    if (fingerprint == null) {
      fingerprint = Fingerprint.of(RECIPE + divided().recipe(), cut.name(), contentOf(files));
    }
    return fingerprint;
  }

  private synchronized Division divided() {
    if (division == null) {
      division = isOneDocument() ? PositionSplit.of(this::open, name) : hashSplit();
    }
    return division;
  }

  private FileDocuments open() {
    return new FileDocuments(files, cut);
  }

  /// Returns whether all of the text is one document, which may have come in pieces.
  private boolean isOneDocument() {
    try (var documents = open()) {
      int whole = 0;
      while (whole < 2 && documents.hasNext()) {
        documents.next();
        whole += documents.continues() ? 0 : 1;
      }
      return whole == 1;
    }
  }

  private HashSplit hashSplit() {
    try (var documents = open()) {
      return HashSplit.choose(
          new PrimitiveIterator.OfLong() {
            @Override
            public boolean hasNext() {
              return documents.hasNext();
            }

            @Override
            public long nextLong() {
              return StableHash.of(documents.next());
            }
          },
          name);
    }
  }

  /// SHA-256 over the length and the bytes of each file.
  static String contentOf(List<Path> files) {
    MessageDigest digest = Fingerprint.digest();
    ByteBuffer buffer = ByteBuffer.allocate(1 << 18);
    for (Path path : files) {
      try (var file = FileChannel.open(path)) {
        digest.update(ByteBuffer.allocate(Long.BYTES).putLong(file.size()).flip());
        while (file.read(buffer.clear()) >= 0) {
          digest.update(buffer.flip());
        }
      } catch (IOException e) {
        throw DocumentReader.unreadable(path, e);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
