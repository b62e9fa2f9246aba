package io.xlstm4j.text;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Two files that say themselves what to train on and what to validate with.
///
/// In a folder they are `train.txt` and `valid.txt`, or as TinyStories has them, the only two whose
/// names end in `-train.txt` and `-valid.txt` and else are equal.
final class FolderCorpus implements Corpus {
  static final String TRAIN_FILE = "train.txt";
  static final String VALIDATION_FILE = "valid.txt";

  private static final String RECIPE =
      "folder 1"; // goes up when the same files give other documents

  private final String name;
  private final Path train;
  private final Path validation;
  private @Nullable String fingerprint;

  private FolderCorpus(String name, Path train, Path validation) {
    this.name = name;
    this.train = train;
    this.validation = validation;
  }

  /// The files whose paths begin with `prefix` and go on with `-train.txt` and `-valid.txt`, or
  /// null if one of them is missing.
  static @Nullable FolderCorpus ofPrefix(Path prefix) {
    if (prefix.getFileName() == null) {
      return null;
    }
    Path train = prefix.resolveSibling(prefix.getFileName() + "-" + TRAIN_FILE);
    Path validation = prefix.resolveSibling(prefix.getFileName() + "-" + VALIDATION_FILE);
    return Files.isRegularFile(train) && Files.isRegularFile(validation)
        ? new FolderCorpus(prefix.toString(), train, validation)
        : null;
  }

  /// @throws InvalidTextException if the folder has no such files, or several pairs of them
  static FolderCorpus ofFolder(Path folder) {
    Path train = folder.resolve(TRAIN_FILE);
    Path validation = folder.resolve(VALIDATION_FILE);
    if (Files.isRegularFile(train) && Files.isRegularFile(validation)) {
      return new FolderCorpus(folder.toString(), train, validation);
    }
    List<FolderCorpus> pairs = pairs(folder);
    if (pairs.size() > 1) {
      throw new InvalidTextException(
          "corpus "
              + folder
              + ": the folder has several corpora; give one of them: "
              + String.join(", ", pairs.stream().map(FolderCorpus::name).toList()));
    }
    if (pairs.isEmpty()) {
      throw new InvalidTextException(
          "corpus "
              + folder
              + ": the folder has no "
              + (Files.isRegularFile(train) ? VALIDATION_FILE : TRAIN_FILE)
              + "; it must hold train.txt and valid.txt, or give its files as a glob such as "
              + folder.resolve("**").resolve("*.txt"));
    }
    return pairs.getFirst();
  }

  private static List<FolderCorpus> pairs(Path folder) {
    String end = "-" + TRAIN_FILE;
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(file -> file.length() > end.length() && file.endsWith(end))
          .sorted()
          .map(file -> file.substring(0, file.length() - end.length()))
          .map(prefix -> ofPrefix(folder.resolve(prefix)))
          .filter(Objects::nonNull)
          .toList();
    } catch (IOException e) {
      throw new InvalidTextException("corpus " + folder + ": " + ErrorReason.of(e), e);
    }
  }

  @Override
  public String name() {
    return name;
  }

  private Path file(Split split) {
    return switch (split) {
      case TRAIN -> train;
      case VALIDATION -> validation;
    };
  }

  @Override
  public Stream<String> documents(Split split) {
    Path file = file(split);
    var documents = new FileDocuments(List.of(file), Corpora.cutOf(file));
    boolean any = false;
    try {
      any = documents.hasNext();
    } finally {
      if (!any) {
        documents.close();
      }
    }
    if (!any) {
      throw new InvalidTextException(file + ": there is no text in the file");
    }
    return documents.stream();
  }

  @Override
  public long approximateBytes(Split split) {
    return FileCorpus.bytesOf(List.of(file(split)));
  }

  @Override
  public synchronized String fingerprint() {
    if (fingerprint == null) {
      fingerprint = Fingerprint.of(RECIPE, FileCorpus.contentOf(List.of(train, validation)));
    }
    return fingerprint;
  }
}
