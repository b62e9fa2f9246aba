package io.xlstm4j.train.parallel;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The coordinator that all ranks, rank 0 too, connect to: it runs collective operations and
/// monitors the ranks. Lives in the process of rank 0.
///
/// It alone says why a run failed, so every rank gives the same reason.
final class Coordinator implements AutoCloseable {
  /// A stranger's connection must not hold up the ranks for longer.
  private static final int FIRST_WORD_MILLISECONDS = 2_000;

  private final Rendezvous rendezvous;
  private final Heartbeat heartbeat;
  private final ServerSocket door;
  private final @Nullable Member[] members;
  private final Map<Integer, byte[]> parts = new TreeMap<>(); // by rank
  private String meeting = "";
  private int present;
  private boolean ended;

  /// A rank as the coordinator sees it.
  private static final class Member {
    final int rank;
    final Connection connection;
    long arrived;
    int silentBeats;
    long lateBeats;
    boolean left;

    Member(int rank, Connection connection) {
      this.rank = rank;
      this.connection = connection;
    }
  }

  /// Opens the door.
  ///
  /// @throws InvalidInputException if the port is taken or the host unknown
  Coordinator(Rendezvous rendezvous) {
    this.rendezvous = rendezvous;
    heartbeat = Heartbeat.of(rendezvous.timeout());
    members = new Member[rendezvous.size()];
    ServerSocket socket = null;
    try {
      InetAddress host = InetAddress.getByName(rendezvous.host());
      socket = new ServerSocket();
      socket.setReuseAddress(true);
      socket.bind(
          host.isLoopbackAddress()
              ? new InetSocketAddress(host, rendezvous.port())
              : new InetSocketAddress(rendezvous.port()),
          rendezvous.size());
      door = socket;
    } catch (UnknownHostException e) {
      throw new InvalidInputException(
          "%s=%s is unknown; give a name or address of the machine of rank 0"
              .formatted(Rendezvous.HOST, rendezvous.host()),
          e);
    } catch (BindException e) {
      throw new InvalidInputException(
          "port %d is in use on this machine; choose another for the rendezvous (%s or --rendezvous)"
              .formatted(rendezvous.port(), Rendezvous.PORT),
          e);
    } catch (IOException e) {
      throw new InvalidInputException(
          "%s: rank 0 cannot listen there: %s".formatted(rendezvous.address(), e.getMessage()), e);
    }
    DaemonThreads.start("xlstm-coordinator", this::admit);
  }

  /// Returns the address at which rank 0 connects.
  InetSocketAddress address() {
    InetAddress bound = door.getInetAddress();
    return new InetSocketAddress(
        bound.isAnyLocalAddress() ? InetAddress.getLoopbackAddress() : bound, rendezvous.port());
  }

  private void admit() {
    long deadline = System.nanoTime() + rendezvous.timeout().toNanos();
    try (door) {
      while (present < members.length) {
        long left = (deadline - System.nanoTime()) / 1_000_000;
        if (left <= 0) {
          fail(
              "after %d s these of %d ranks have not come to %s: %s"
                  .formatted(
                      rendezvous.timeout().toSeconds(),
                      members.length,
                      rendezvous.address(),
                      missing()));
          return;
        }
        door.setSoTimeout((int) Math.min(left, Integer.MAX_VALUE));
        try {
          admit(new Connection(door.accept()));
        } catch (SocketTimeoutException e) {
          continue; // the deadline is looked at above
        }
        if (hasEnded()) {
          return;
        }
      }
      welcome();
    } catch (IOException e) {
      fail("rank 0 cannot listen at %s: %s".formatted(rendezvous.address(), e.getMessage()));
    }
  }

  private synchronized boolean hasEnded() {
    return ended;
  }

  private String missing() {
    return IntStream.range(0, members.length)
        .filter(rank -> members[rank] == null)
        .mapToObj(Integer::toString)
        .collect(Collectors.joining(", "));
  }

  private void admit(Connection connection) {
    Message first;
    try {
      connection.readTimeout(FIRST_WORD_MILLISECONDS);
      first = connection.read();
      connection.readTimeout(0);
    } catch (IOException e) {
      connection.close(); // a stranger
      return;
    }
    if (!(first instanceof Message.Join(int rank, int size))) {
      connection.close();
      return;
    }
    int expected = members.length;
    synchronized (this) {
      @Nullable String refusal =
          size != expected
              ? "%s: rank 0 has %d, rank %d has %d; give every rank the same"
                  .formatted(Rendezvous.SIZE, expected, rank, size)
              : rank < 0 || rank >= expected || members[rank] != null
                  ? "%s=%d came twice; give each of the %d processes its own"
                      .formatted(Rendezvous.RANK, rank, expected)
                  : null;
      if (refusal != null) {
        fail(refusal);
        connection.send(new Message.Failure(refusal));
        connection.close();
        return;
      }
      var member = new Member(rank, connection);
      members[rank] = member;
      present++;
      DaemonThreads.start("xlstm-coordinator-" + rank, () -> listen(member));
    }
  }

  private void welcome() {
    String outside =
        members()
            .filter(member -> !member.connection.remoteAddress().isLoopbackAddress())
            .map(member -> member.connection.localAddress().getHostAddress())
            .findFirst()
            .orElse("");
    for (Member member : members().toList()) {
      // A neighbour of rank 0 came by the loopback, where other machines would not find it.
      boolean neighbour = member.connection.remoteAddress().isLoopbackAddress();
      member.connection.send(new Message.Welcome(neighbour ? outside : ""));
    }
    heartbeat.start("xlstm-coordinator-heartbeat", this::beat);
  }

  private Stream<Member> members() {
    return Arrays.stream(members).filter(Objects::nonNull).map(Objects::requireNonNull);
  }

  private void listen(Member member) {
    try {
      while (true) {
        handle(member, member.connection.read());
      }
    } catch (IOException e) {
      synchronized (this) {
        if (!member.left) {
          member.left = true;
          fail(FailureMessages.ended(member.rank, members.length));
        }
        notifyAll();
      }
    }
  }

  private synchronized void handle(Member member, Message message) throws IOException {
    member.silentBeats = 0;
    switch (message) {
      case Message.Beat(long arrived) -> {
        if (arrived != member.arrived) {
          member.arrived = arrived;
          member.lateBeats = 0;
        }
      }
      case Message.Part(String name, byte[] content) -> collect(member, name, content);
      case Message.Failure(String cause) -> fail(cause);
      case Message.Leave _ -> leave(member);
      case Message.Join _, Message.Welcome _, Message.Whole _ ->
          throw new IOException("not for the coordinator");
    }
  }

  private void collect(Member member, String name, byte[] content) {
    for (int rank : parts.keySet()) {
      if (!meeting.equals(name)) {
        fail(
            "rank %d is at '%s' where rank %d is at '%s'; run the same program and configuration on all"
                .formatted(rank, meeting, member.rank, name));
        return;
      }
    }
    meeting = name;
    parts.put(member.rank, content);
    if (parts.size() == members.length) {
      broadcast(new Message.Whole(List.copyOf(parts.values())));
      parts.clear();
    } else {
      members().filter(other -> other.left).findFirst().ifPresent(this::failAsLeft);
    }
  }

  private void leave(Member member) {
    member.left = true;
    notifyAll();
    if (!parts.isEmpty()) {
      failAsLeft(member);
    }
    if (members().allMatch(other -> other.left) && !ended) {
      ended = true;
      broadcast(new Message.Leave());
    }
  }

  private void failAsLeft(Member member) {
    fail(
        "rank %d of %d ended its work while others had more to do"
            .formatted(member.rank, members.length));
  }

  private synchronized boolean beat() {
    if (ended) {
      return false;
    }
    broadcast(new Message.Beat(0));
    long furthest = members().mapToLong(member -> member.arrived).max().orElse(0);
    for (Member member : members().toList()) {
      member.silentBeats++;
      boolean behind = member.arrived < furthest;
      member.lateBeats = behind ? member.lateBeats + 1 : 0;
      if (!member.left && member.silentBeats > Heartbeat.SILENT) {
        fail(FailureMessages.silent(member.rank, members.length));
      } else if (member.lateBeats > heartbeat.patience() && member.silentBeats < Heartbeat.SHORT) {
        fail(
            "rank %d of %d lives but kept the others waiting for %d s; see what it does, or raise %s"
                .formatted(
                    member.rank,
                    members.length,
                    rendezvous.timeout().toSeconds(),
                    Rendezvous.TIMEOUT));
      }
    }
    return !ended;
  }

  private synchronized void fail(String cause) {
    if (!ended) {
      ended = true;
      broadcast(new Message.Failure(cause));
    }
  }

  private void broadcast(Message message) {
    members().forEach(member -> member.connection.send(message));
  }

  /// Waits a little until the ranks have heard the last word, then lets go.
  @Override
  public synchronized void close() {
    try {
      door.close();
      for (int beat = 0; beat < Heartbeat.SHORT; beat++) {
        if (members().allMatch(member -> member.left)) {
          break;
        }
        wait(heartbeat.milliseconds());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      // it was closed already
    }
    ended = true;
    members().forEach(member -> member.connection.close());
  }
}
