package io.xlstm4j.text;

import java.util.PrimitiveIterator;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;

/// Assigns each document to a side by a hash, so that the order of files does not matter.
///
/// @param onlyValidation number of the document that validates where the hashes choose none, or -1
/// @param onlyTrain number of the document to train on where the hashes leave none, or -1
record HashSplit(long onlyValidation, long onlyTrain) implements FileCorpus.Division {
  /// The share of documents that validate.
  static final double VALIDATION_SHARE = 0.05;

  /// For a corpus so large that the hashes fill both sides.
  static final HashSplit BY_HASH_ALONE = new HashSplit(-1, -1);

  /// Looks at as many documents as it takes to see both sides, all of them if need be.
  ///
  /// @param hashes one for each document
  /// @param name the corpus, for the message
  /// @throws InvalidTextException if there are fewer than two documents
  static HashSplit choose(PrimitiveIterator.OfLong hashes, String name) {
    long documents = 0;
    long smallest = 0;
    long largest = 0;
    long smallestAt = -1;
    long largestAt = -1;
    boolean train = false;
    boolean validation = false;
    while (hashes.hasNext()) {
      long hash = hashes.nextLong();
      if (smallestAt < 0 || Long.compareUnsigned(hash, smallest) < 0) {
        smallest = hash;
        smallestAt = documents;
      }
      if (largestAt < 0 || Long.compareUnsigned(hash, largest) > 0) {
        largest = hash;
        largestAt = documents;
      }
      documents++;
      if (validates(hash)) {
        validation = true;
      } else {
        train = true;
      }
      if (train && validation) {
        return BY_HASH_ALONE;
      }
    }
    if (documents < 2) {
      throw new InvalidTextException(
          "%s: %s"
              .formatted(name, documents == 0 ? "there is no text" : "there is only one document"));
    }
    return train ? new HashSplit(smallestAt, -1) : new HashSplit(-1, largestAt);
  }

  @Override
  public Stream<String> select(Stream<String> documents, Split split) {
    var number = new AtomicLong();
    return documents.filter(
        document -> sideOf(number.getAndIncrement(), StableHash.of(document)) == split);
  }

  @Override
  public double validationShare() {
    return VALIDATION_SHARE;
  }

  @Override
  public String recipe() {
    return "";
  }

  /// The side of a document.
  ///
  /// @param number of the document, from 0
  Split sideOf(long number, long hash) {
    if (number == onlyValidation) {
      return Split.VALIDATION;
    }
    if (number == onlyTrain) {
      return Split.TRAIN;
    }
    return validates(hash) ? Split.VALIDATION : Split.TRAIN;
  }

  private static boolean validates(long hash) {
    return (hash >>> 11) * 0x1p-53 < VALIDATION_SHARE;
  }
}
