package io.xlstm4j.text;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;

/// Documents as ids, encoded many at once and given out one by one.
final class EncodedDocuments implements Iterator<EncodedDocuments.Encoded> {
  private static final int BATCH_DOCUMENTS = 4096;
  private static final int BATCH_CHARS = 1 << 20;

  private final Iterator<String> texts;
  private final Tokenizer tokenizer;
  private Iterator<Encoded> ready = List.<Encoded>of().iterator();

  /// A document.
  ///
  /// @param ids without the end of text
  /// @param bytes of its text as UTF-8
  record Encoded(int[] ids, long bytes) {}

  EncodedDocuments(Iterator<String> texts, Tokenizer tokenizer) {
    this.texts = texts;
    this.tokenizer = tokenizer;
  }

  @Override
  public boolean hasNext() {
    return ready.hasNext() || texts.hasNext();
  }

  /// @throws InvalidTextException if the tokenizer gives an id that is no token of text
  @Override
  public Encoded next() {
    if (!ready.hasNext()) {
      ready = encodeMore().iterator();
    }
    return ready.next();
  }

  private List<Encoded> encodeMore() {
    if (!texts.hasNext()) {
      throw new NoSuchElementException();
    }
    List<String> batch = new ArrayList<>();
    for (long chars = 0;
        texts.hasNext() && batch.size() < BATCH_DOCUMENTS && chars < BATCH_CHARS; ) {
      String text = texts.next();
      batch.add(text);
      chars += text.length();
    }
    List<int[]> ids = tokenizer.encodeAll(batch);
    List<Encoded> encoded = new ArrayList<>(batch.size());
    for (int i = 0; i < batch.size(); i++) {
      check(ids.get(i));
      encoded.add(new Encoded(ids.get(i), utf8Length(batch.get(i))));
    }
    return encoded;
  }

  private void check(int[] ids) {
    for (int id : ids) {
      if (id == tokenizer.endOfText() || id < 0 || id >= tokenizer.vocabSize()) {
        throw new InvalidTextException(
            tokenizer.name() + ": the tokenizer gave id " + id + " for text; not a token of text");
      }
    }
  }

  private static long utf8Length(String text) {
    long bytes = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      bytes += c < 0x80 ? 1 : c < 0x800 || Character.isSurrogate(c) ? 2 : 3;
    }
    return bytes;
  }
}
