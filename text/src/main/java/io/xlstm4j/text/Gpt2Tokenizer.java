package io.xlstm4j.text;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.Encoding;
import com.knuddels.jtokkit.api.EncodingType;
import com.knuddels.jtokkit.api.IntArrayList;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;

/// The vocabulary of GPT-2: 50,256 tokens of byte-level BPE, then the end of text.
final class Gpt2Tokenizer implements Tokenizer {
  static final String NAME = "gpt2";

  private static final int END = 50_256;

  private final Encoding encoding;
  private final byte[][] bytes = new byte[END + 1][];

  Gpt2Tokenizer() {
    encoding = Encodings.newLazyEncodingRegistry().getEncoding(EncodingType.R50K_BASE);
    for (int id = 0; id < END; id++) {
      var one = new IntArrayList(1);
      one.add(id);
      bytes[id] = encoding.decodeBytes(one);
    }
    bytes[END] = END_OF_TEXT.getBytes(StandardCharsets.UTF_8);
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
    return encoding.encodeOrdinary(WellFormed.of(text)).toArray();
  }

  @Override
  public List<int[]> encodeAll(List<String> texts) {
    return texts.parallelStream().map(this::encode).toList();
  }

  @Override
  public String decode(int[] ids) {
    return Utf8StreamDecoder.decode(this::bytesOf, ids);
  }

  @Override
  public StreamDecoder streamDecoder() {
    return new Utf8StreamDecoder(this::bytesOf);
  }

  @Override
  public void close() {}

  private byte[] bytesOf(int id) {
    return bytes[Objects.checkIndex(id, bytes.length)];
  }
}
