package io.xlstm4j.text;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/// The shards of one part of a corpus as one stream of tokens.
final class ShardedTokens implements Tokens {
  private final List<TokenShard> shards;
  private final long[] starts; // of each shard in the stream, and the size of all

  /// @param shards in order, of one part; they are closed with this
  ShardedTokens(List<TokenShard> shards) {
    this.shards = List.copyOf(shards);
    starts = new long[shards.size() + 1];
    for (int i = 0; i < shards.size(); i++) {
      starts[i + 1] = starts[i] + shards.get(i).header().tokens();
    }
  }

  @Override
  public long size() {
    return starts[shards.size()];
  }

  @Override
  public int get(long index) {
    Objects.checkIndex(index, size());
    int shard = shardOf(index);
    return shards.get(shard).get(index - starts[shard]);
  }

  @Override
  public void read(long from, int[] into, int offset, int count) {
    Objects.checkFromIndexSize(from, count, size());
    Objects.checkFromIndexSize(offset, count, into.length);
    int done = 0;
    for (int shard = count == 0 ? 0 : shardOf(from); done < count; shard++) {
      long at = from + done - starts[shard];
      int here = (int) Math.min(count - done, shards.get(shard).header().tokens() - at);
      shards.get(shard).read(at, into, offset + done, here);
      done += here;
    }
  }

  private int shardOf(long index) {
    int found = Arrays.binarySearch(starts, index);
    return found >= 0 ? found : -found - 2; // no shard is empty, so starts differ
  }

  @Override
  public long documents() {
    return shards.stream().mapToLong(shard -> shard.header().documents()).sum();
  }

  @Override
  public long textBytes() {
    return shards.stream().mapToLong(shard -> shard.header().textBytes()).sum();
  }

  @Override
  public int endOfText() {
    return shards.getFirst().header().endOfText();
  }

  @Override
  public int vocabSize() {
    return shards.getFirst().header().vocabSize();
  }

  @Override
  public String fingerprint() {
    return shards.getFirst().header().fingerprint();
  }

  @Override
  public String tokenizerFingerprint() {
    return shards.getFirst().header().tokenizerFingerprint();
  }

  @Override
  public void close() {
    shards.forEach(TokenShard::close);
  }
}
