package io.xlstm4j.text;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/// SHA-256, as 64 hexadecimal digits.
final class Fingerprint {
  /// Bytes of the digest.
  static final int BYTES = 32;

  private Fingerprint() {}

  static MessageDigest digest() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  static String of(byte[] content) {
    return HexFormat.of().formatHex(digest().digest(content));
  }

  /// Returns the fingerprint of all bytes of a file.
  ///
  /// @throws InvalidTextException if the file cannot be read
  static String ofFile(Path path) {
    MessageDigest digest = digest();
    try (var file = FileChannel.open(path)) {
      ByteBuffer buffer = ByteBuffer.allocate(1 << 18);
      while (file.read(buffer.clear()) >= 0) {
        digest.update(buffer.flip());
      }
    } catch (IOException e) {
      throw new InvalidTextException(path + ": cannot read the file: " + ErrorReason.of(e), e);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /// The fingerprint of several parts; where one ends and the next begins counts.
  static String of(String... parts) {
    return of(String.join("\n", parts).getBytes(StandardCharsets.UTF_8));
  }
}
