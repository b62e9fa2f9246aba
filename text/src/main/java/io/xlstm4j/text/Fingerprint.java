package io.xlstm4j.text;

import java.nio.charset.StandardCharsets;
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

  /// The fingerprint of several parts; where one ends and the next begins counts.
  static String of(String... parts) {
    return of(String.join("\n", parts).getBytes(StandardCharsets.UTF_8));
  }
}
