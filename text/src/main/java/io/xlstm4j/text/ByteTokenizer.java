package io.xlstm4j.text;

import java.nio.charset.StandardCharsets;
import java.util.Objects;

/// The bytes of UTF-8 are the tokens, and 256 is the end of text.
final class ByteTokenizer implements Tokenizer {
  static final String NAME = "bytes";

  private static final int END = 256;
  private static final byte[][] BYTES = new byte[END + 1][];

  static {
    for (int b = 0; b < END; b++) {
      BYTES[b] = new byte[] {(byte) b};
    }
    BYTES[END] = END_OF_TEXT.getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String fingerprint() {
    return NAME;
  }

  @Override
  public int vocabSize() {
    return END + 1;
  }

  @Override
  public int endOfText() {
    return END;
  }

  @Override
  public int[] encode(String text) {
    byte[] bytes = WellFormed.of(text).getBytes(StandardCharsets.UTF_8);
    int[] ids = new int[bytes.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = bytes[i] & 0xFF;
    }
    return ids;
  }

  @Override
  public String decode(int[] ids) {
    return Utf8StreamDecoder.decode(ByteTokenizer::bytesOf, ids);
  }

  @Override
  public StreamDecoder streamDecoder() {
    return new Utf8StreamDecoder(ByteTokenizer::bytesOf);
  }

  @Override
  public void close() {}

  private static byte[] bytesOf(int id) {
    return BYTES[Objects.checkIndex(id, BYTES.length)];
  }
}
