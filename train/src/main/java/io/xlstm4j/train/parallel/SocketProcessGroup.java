package io.xlstm4j.train.parallel;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.torch.Parameters;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Several processes. Small things go over a connection to rank 0, gradients over libtorch's
/// collectives.
final class SocketProcessGroup implements ProcessGroup {
  private final Rendezvous rendezvous;
  private final @Nullable Coordinator coordinator;
  private final CoordinatorConnection line;
  private @Nullable Collectives collectives;

  private SocketProcessGroup(
      Rendezvous rendezvous, @Nullable Coordinator coordinator, CoordinatorConnection line) {
    this.rendezvous = rendezvous;
    this.coordinator = coordinator;
    this.line = line;
  }

  static SocketProcessGroup join(Rendezvous rendezvous) {
    if (rendezvous.rank() != 0) {
      var address = new InetSocketAddress(rendezvous.host(), rendezvous.port());
      return new SocketProcessGroup(
          rendezvous, null, CoordinatorConnection.join(rendezvous, address));
    }
    var coordinator = new Coordinator(rendezvous);
    try {
      return new SocketProcessGroup(
          rendezvous, coordinator, CoordinatorConnection.join(rendezvous, coordinator.address()));
    } catch (InvalidInputException e) {
      coordinator.close();
      throw e;
    }
  }

  @Override
  public int rank() {
    return rendezvous.rank();
  }

  @Override
  public int localRank() {
    return rendezvous.localRank();
  }

  @Override
  public int size() {
    return rendezvous.size();
  }

  @Override
  public double[] sums(double... values) {
    var bytes = ByteBuffer.allocate(values.length * Double.BYTES);
    bytes.asDoubleBuffer().put(values);
    double[] sums = new double[values.length];
    for (byte[] part : line.meet("sum of " + values.length, bytes.array())) {
      var numbers = ByteBuffer.wrap(part).asDoubleBuffer();
      for (int i = 0; i < sums.length; i++) {
        sums[i] += numbers.get(i);
      }
    }
    return sums;
  }

  @Override
  public boolean any(boolean value) {
    return line.meet("any", new byte[] {(byte) (value ? 1 : 0)}).stream().anyMatch(x -> x[0] != 0);
  }

  @Override
  public byte[] broadcast(byte[] bytes) {
    return line.meet("broadcast", isFirst() ? bytes : new byte[0]).getFirst();
  }

  @Override
  public long broadcast(long value) {
    return ByteBuffer.wrap(broadcast(ByteBuffer.allocate(Long.BYTES).putLong(value).array()))
        .getLong();
  }

  @Override
  public void barrier() {
    line.meet("barrier", new byte[0]);
  }

  @Override
  public void agree(Map<String, String> facts) {
    List<byte[]> all = line.meet("agree", Facts.encode(new TreeMap<>(facts)));
    Map<String, String> first = Facts.decode(all.getFirst());
    for (int rank = 1; rank < all.size(); rank++) {
      Facts.checkSame(first, rank, Facts.decode(all.get(rank)));
    }
  }

  @Override
  public GradientReducer reducer(Parameters parameters) {
    if (collectives == null) {
      collectives = Collectives.open(rendezvous, line, parameters.device());
    }
    return new BucketReducer(parameters, collectives, line);
  }

  @Override
  public void fail(String cause) {
    line.fail("rank %d of %d: %s".formatted(rank(), size(), cause));
  }

  @Override
  public void close() {
    line.close();
    if (collectives != null) {
      collectives.close();
    }
    if (coordinator != null) {
      coordinator.close();
    }
  }

  /// Names and values as bytes.
  private static final class Facts {
    private Facts() {}

    static byte[] encode(Map<String, String> facts) {
      var text = new StringBuilder();
      facts.forEach((name, value) -> text.append(name).append('\0').append(value).append('\0'));
      return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    static Map<String, String> decode(byte[] bytes) {
      String[] words = new String(bytes, StandardCharsets.UTF_8).split("\0", -1);
      var facts = new LinkedHashMap<String, String>();
      for (int i = 0; i + 1 < words.length; i += 2) {
        facts.put(words[i], words[i + 1]);
      }
      return facts;
    }

    /// All ranks look at the same facts in the same order, so they all give the same line.
    static void checkSame(Map<String, String> first, int rank, Map<String, String> other) {
      var names = new TreeMap<>(first);
      names.putAll(other);
      for (String name : names.keySet()) {
        @Nullable String expected = first.get(name);
        @Nullable String actual = other.get(name);
        if (expected == null || !expected.equals(actual)) {
          throw new RankFailedException(
              "%s differs: rank 0 has %s, rank %d has %s; give all ranks the same"
                  .formatted(name, shown(expected), rank, shown(actual)));
        }
      }
    }

    private static String shown(@Nullable String value) {
      return value == null ? "none" : value;
    }
  }
}
