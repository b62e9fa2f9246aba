package io.xlstm4j.text;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// A folder that says itself what to train on: `train.txt` and `valid.txt`.
final class FolderCorpus implements Corpus {
  static final String TRAIN_FILE = "train.txt";
  static final String VALIDATION_FILE = "valid.txt";

  private static final String RECIPE =
      "folder 1"; // goes up when the same files give other documents

  private final Path folder;
  private @Nullable String fingerprint;

  FolderCorpus(Path folder) {
    this.folder = folder;
  }

  @Override
  public String name() {
    return folder.toString();
  }

  @Override
  public Stream<String> documents(Split split) {
    Path file =
        folder.resolve(
            switch (split) {
              case TRAIN -> TRAIN_FILE;
              case VALIDATION -> VALIDATION_FILE;
            });
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
  public synchronized String fingerprint() {
    if (fingerprint == null) {
      fingerprint =
          Fingerprint.of(
              RECIPE,
              FileCorpus.contentOf(
                  List.of(folder.resolve(TRAIN_FILE), folder.resolve(VALIDATION_FILE))));
    }
    return fingerprint;
  }
}
