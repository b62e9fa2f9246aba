package io.xlstm4j.text;

import java.util.stream.Stream;

/// A corpus that is not divided: each of its two parts has all documents.
record WholeCorpus(Corpus corpus) implements Corpus {
  @Override
  public String name() {
    return corpus.name();
  }

  @Override
  public Stream<String> documents(Split split) {
    return corpus.allDocuments();
  }

  @Override
  public Stream<String> allDocuments() {
    return corpus.allDocuments();
  }

  @Override
  public long approximateBytes(Split split) {
    return corpus.approximateBytes(Split.TRAIN) + corpus.approximateBytes(Split.VALIDATION);
  }

  @Override
  public String fingerprint() {
    return Fingerprint.of("whole 1", corpus.fingerprint());
  }
}
