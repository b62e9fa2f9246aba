package io.xlstm4j.train.parallel;

import io.xlstm4j.torch.Parameters;
import java.util.Map;

/// A process that trains alone: nothing to send, nothing to wait for.
public final class SingleProcess implements ProcessGroup {
  @Override
  public int rank() {
    return 0;
  }

  @Override
  public int localRank() {
    return 0;
  }

  @Override
  public int size() {
    return 1;
  }

  @Override
  public double[] sums(double... values) {
    return values.clone();
  }

  @Override
  public boolean any(boolean value) {
    return value;
  }

  @Override
  public byte[] broadcast(byte[] bytes) {
    return bytes.clone();
  }

  @Override
  public long broadcast(long value) {
    return value;
  }

  @Override
  public void barrier() {}

  @Override
  public void agree(Map<String, String> facts) {}

  @Override
  public GradientReducer reducer(Parameters parameters) {
    return new GradientReducer() {
      @Override
      public void begin() {}

      @Override
      public void finish() {}

      @Override
      public void close() {}
    };
  }

  @Override
  public void fail(String cause) {}

  @Override
  public void close() {}
}
