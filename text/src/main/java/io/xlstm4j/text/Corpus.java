package io.xlstm4j.text;

import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Documents of text, in two parts, the same ones in the same order at every reading.
///
/// No document is empty, none is longer than 1 MiB of UTF-8, and each is well-formed Unicode.
public interface Corpus {
  /// A short name for people.
  String name();

  /// The documents of one part, read as the stream is consumed. Close the stream: it holds a file.
  ///
  /// @throws InvalidTextException here or while the stream is consumed, if a file cannot be read,
  ///   is not UTF-8, or if there is no document for this part
  Stream<String> documents(Split split);

  /// All documents, in the order of the corpus where it has one. Close the stream.
  ///
  /// @throws InvalidTextException as [#documents(Split)]
  default Stream<String> allDocuments() {
    return Stream.concat(documents(Split.TRAIN), documents(Split.VALIDATION));
  }

  /// Returns whether the corpus came undivided, so that its two parts are a choice made here.
  default boolean dividedHere() {
    return false;
  }

  /// Describes how the two parts were divided, where that is not the usual way; else null. May read
  /// all the files.
  default @Nullable String division() {
    return null;
  }

  /// About how many bytes of text the part has, for a progress bar; 0 if nobody knows.
  default long approximateBytes(Split split) {
    return 0;
  }

  /// Differs between two corpora whenever their documents may differ; equal for equal content. May
  /// read all the files.
  ///
  /// @throws InvalidTextException if a file cannot be read
  String fingerprint();
}
