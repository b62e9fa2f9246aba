package io.xlstm4j.text;

/// A hash of text that never changes, so that a document stays on its side of a split.
final class StableHash {
  private StableHash() {}

  /// 64 well-mixed bits.
  static long of(CharSequence text) {
    long hash = 0xCBF29CE484222325L; // FNV-1a over chars
    for (int i = 0; i < text.length(); i++) {
      hash = (hash ^ text.charAt(i)) * 0x100000001B3L;
    }
    return mix(hash);
  }

  /// Spreads every bit over all of them (Stafford's variant 13, as in SplitMix64).
  static long mix(long bits) {
    bits = (bits ^ bits >>> 30) * 0xBF58476D1CE4E5B9L;
    bits = (bits ^ bits >>> 27) * 0x94D049BB133111EBL;
    return bits ^ bits >>> 31;
  }
}
