package io.xlstm4j.text;

import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/// The documents of several files, one file open at a time.
final class FileDocuments implements Iterator<String>, AutoCloseable {
  private final Iterator<Path> files;
  private final DocumentReader.Cut cut;
  private @Nullable DocumentReader reader;

  FileDocuments(List<Path> files, DocumentReader.Cut cut) {
    this.files = files.iterator();
    this.cut = cut;
  }

  @Override
  public boolean hasNext() {
    while (reader == null || !reader.hasNext()) {
      close();
      if (!files.hasNext()) {
        return false;
      }
      reader = new DocumentReader(files.next(), cut);
    }
    return true;
  }

  @Override
  public String next() {
    if (!hasNext() || reader == null) {
      throw new NoSuchElementException();
    }
    return reader.next();
  }

  /// Returns whether the document given out last is a later piece of a longer one.
  boolean continues() {
    return reader != null && reader.continues();
  }

  @Override
  public void close() {
    if (reader != null) {
      reader.close();
      reader = null;
    }
  }

  Stream<String> stream() {
    return stream(this).onClose(this::close);
  }

  /// A sequential stream of what an iterator gives; `flatMap` would hold a whole file.
  static Stream<String> stream(Iterator<String> documents) {
    return StreamSupport.stream(
        Spliterators.spliteratorUnknownSize(documents, Spliterator.ORDERED | Spliterator.NONNULL),
        false);
  }
}
