package io.xlstm4j.text;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/// Writes one token file: the ids behind room for the header, and the header last.
final class TokenWriter {
  private final FileChannel file;
  private final int width;
  private final ByteBuffer buffer = ByteBuffer.allocate(1 << 18).order(ByteOrder.LITTLE_ENDIAN);
  private final CRC32C check = new CRC32C();
  private long tokens;

  private TokenWriter(FileChannel file, int width) {
    this.file = file;
    this.width = width;
  }

  /// The properties that all shards of one part share.
  ///
  /// @param maxTokens a shard ends with the document that reaches so many
  record Part(Tokenizer tokenizer, String fingerprint, long maxTokens) {}

  /// Writes the next shard: documents until it has enough tokens or there are no more.
  ///
  /// @param documents at least one; those written are taken from it
  /// @param onDocument is called after each document is written
  static TokenHeader write(
      FileChannel file,
      EncodedDocuments documents,
      Part part,
      int shard,
      Consumer<EncodedDocuments.Encoded> onDocument)
      throws IOException {
    Tokenizer tokenizer = part.tokenizer();
    var writer = new TokenWriter(file, TokenHeader.widthFor(tokenizer.vocabSize()));
    file.position(TokenHeader.BYTES);
    long written = 0;
    long textBytes = 0;
    while (documents.hasNext() && (written == 0 || writer.tokens < part.maxTokens())) {
      EncodedDocuments.Encoded document = documents.next();
      writer.write(tokenizer.endOfText());
      for (int id : document.ids()) {
        writer.write(id);
      }
      written++;
      textBytes += document.bytes();
      onDocument.accept(document);
    }
    boolean last = !documents.hasNext();
    if (last) {
      writer.write(tokenizer.endOfText());
    }
    writer.flush();
    var header =
        new TokenHeader(
            writer.width,
            writer.tokens,
            written,
            textBytes,
            tokenizer.endOfText(),
            tokenizer.vocabSize(),
            part.fingerprint(),
            (int) writer.check.getValue(),
            BatchSource.fingerprintOf(tokenizer),
            shard,
            last);
    file.position(0);
    ByteBuffer bytes = header.toBytes();
    while (bytes.hasRemaining()) {
      file.write(bytes);
    }
    return header;
  }

  private void write(int id) throws IOException {
    if (buffer.remaining() < width) {
      flush();
    }
    if (width == Short.BYTES) {
      buffer.putShort((short) id);
    } else {
      buffer.putInt(id);
    }
    tokens++;
  }

  private void flush() throws IOException {
    buffer.flip();
    check.update(buffer.duplicate());
    while (buffer.hasRemaining()) {
      file.write(buffer);
    }
    buffer.clear();
  }
}
