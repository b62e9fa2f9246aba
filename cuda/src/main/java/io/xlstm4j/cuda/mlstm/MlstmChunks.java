package io.xlstm4j.cuda.mlstm;

/// How a sequence is divided.
///
/// @param length tokens of a chunk
/// @param number of chunks
/// @param ofSegment chunks of a segment; blocks that go over chunks in order take one segment each
record MlstmChunks(int length, int number, int ofSegment) {
  /// Tokens of chunk that the kernels know.
  static final int SHORT = 128;

  static final int LONG = 256;

  /// Values of a state from which on half as many of them pay for longer chunks.
  private static final int LARGE_STATE = 128 * 1024;

  private static final int SHORTEST_SEGMENT = 4;
  private static final int FEWEST_SEGMENTS = 3;
  private static final int BLOCKS_PER_MULTIPROCESSOR = 2;

  MlstmChunks {
    if (length != SHORT && length != LONG) {
      throw new IllegalArgumentException(
          "chunks of %d tokens: %d or %d are possible".formatted(length, SHORT, LONG));
    }
    if (number < 1 || ofSegment < 1 || ofSegment > number) {
      throw new IllegalArgumentException(number + " chunks, " + ofSegment + " of a segment");
    }
  }

  /// Chooses segments so that the device has work. Each is gone over twice, so a few do not help.
  ///
  /// @param tiles parts of the state that have a block each
  static MlstmChunks of(MlstmShape shape, int length, int tiles, int multiprocessors) {
    int number = Math.ceilDiv(shape.length(), length);
    long blocks = (long) tiles * shape.pairs();
    long wanted = (long) BLOCKS_PER_MULTIPROCESSOR * multiprocessors / blocks;
    int segments = (int) Math.min(wanted, number / SHORTEST_SEGMENT);
    return new MlstmChunks(
        length, number, segments < FEWEST_SEGMENTS ? number : Math.ceilDiv(number, segments));
  }

  /// The faster length, as measured.
  static int lengthFor(MlstmShape shape, MlstmVariant variant) {
    long state = (long) shape.qkDim() * shape.vDim();
    return variant == MlstmVariant.HOPPER && state >= LARGE_STATE && shape.length() > SHORT
        ? LONG
        : SHORT;
  }

  int segments() {
    return Math.ceilDiv(number, ofSegment);
  }

  /// Tokens with those that fill the last chunk.
  long paddedLength() {
    return (long) number * length;
  }
}
