package io.xlstm4j.text;

import java.util.stream.Stream;

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
