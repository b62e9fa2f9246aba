package io.xlstm4j.text;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.PrimitiveIterator;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Text files whose documents are split by hash.
final class FileCorpus implements Corpus {
  private static final String RECIPE =
      "files 1"; // goes up when the same files give other documents

  private final String name;
  private final List<Path> files;
  private final DocumentReader.Cut cut;
  private @Nullable HashSplit sides; // found when first needed
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

  @Override
  public Stream<String> documents(Split split) {
    HashSplit by = sides();
    var number = new AtomicLong();
    return new FileDocuments(files, cut)
        .stream()
            .filter(
                document -> by.sideOf(number.getAndIncrement(), StableHash.of(document)) == split);
  }

  @Override
  public long approximateBytes(Split split) {
    long all = bytesOf(files);
    long validation = (long) (all * HashSplit.VALIDATION_SHARE);
    return split == Split.VALIDATION ? validation : all - validation;
  }

  /// The size of all the files; those that cannot be read count nothing here.
  static long bytesOf(List<Path> files) {
    return files.stream().mapToLong(file -> file.toFile().length()).sum();
  }

  @Override
  public synchronized String fingerprint() {
    if (fingerprint == null) {
      fingerprint = Fingerprint.of(RECIPE, cut.name(), contentOf(files));
    }
    return fingerprint;
  }

  private synchronized HashSplit sides() {
    if (sides == null) {
      try (var documents = new FileDocuments(files, cut)) {
        sides =
            HashSplit.choose(
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
    return sides;
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
