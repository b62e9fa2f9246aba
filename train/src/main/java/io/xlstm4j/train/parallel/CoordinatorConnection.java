package io.xlstm4j.train.parallel;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/// A rank's end of its connection to the coordinator: meetings with all ranks, signs of life, and
/// the one reason why no rank can go on.
final class CoordinatorConnection implements AutoCloseable {
  private static final long LOOK_NANOS = 50_000;
  private static final int RETRY_MILLISECONDS = 100;

  private final Rendezvous rendezvous;
  private final Heartbeat heartbeat;
  private final Connection connection;
  private final String address;
  private final AtomicLong arrived = new AtomicLong();
  private final AtomicInteger silentBeats = new AtomicInteger();
  private final CompletableFuture<String> failed = new CompletableFuture<>();
  private final CompletableFuture<Boolean> allLeft = new CompletableFuture<>();
  private volatile CompletableFuture<List<byte[]>> meeting = new CompletableFuture<>();

  private CoordinatorConnection(Rendezvous rendezvous, Connection connection, String address) {
    this.rendezvous = rendezvous;
    this.connection = connection;
    this.address = address;
    heartbeat = Heartbeat.of(rendezvous.timeout());
    DaemonThreads.start("xlstm-rank-line", this::listen);
    heartbeat.start("xlstm-rank-heartbeat", this::beat);
  }

  /// Joins, and waits for all others.
  ///
  /// @throws InvalidInputException if they do not find each other within the timeout
  static CoordinatorConnection join(Rendezvous rendezvous, InetSocketAddress coordinator) {
    if (coordinator.isUnresolved()) {
      throw new InvalidInputException(
          "%s=%s is unknown; give a name or address of the machine of rank 0"
              .formatted(Rendezvous.HOST, rendezvous.host()));
    }
    Connection connection = connect(rendezvous, coordinator);
    try {
      connection.send(new Message.Join(rendezvous.rank(), rendezvous.size()));
      // the coordinator gives up first
      connection.readTimeout(
          (int) Math.min(rendezvous.timeout().toMillis() * 2, Integer.MAX_VALUE));
      Message answer = connection.read();
      connection.readTimeout(0);
      return switch (answer) {
        case Message.Welcome(String address) ->
            new CoordinatorConnection(
                rendezvous,
                connection,
                address.isEmpty() ? connection.localAddress().getHostAddress() : address);
        case Message.Failure(String cause) -> throw new RankFailedException(cause);
        default -> throw new IOException("no coordinator of this version");
      };
    } catch (IOException e) {
      connection.close();
      throw new InvalidInputException(
          "%s: rank 0 was lost before all ranks had come: %s"
              .formatted(rendezvous.address(), e.getMessage()),
          e);
    } catch (RankFailedException e) {
      connection.close();
      throw e;
    }
  }

  private static Connection connect(Rendezvous rendezvous, InetSocketAddress coordinator) {
    long deadline = System.nanoTime() + rendezvous.timeout().toNanos();
    while (true) {
      var socket = new Socket();
      try {
        socket.connect(
            coordinator, (int) Math.min(rendezvous.timeout().toMillis(), Integer.MAX_VALUE));
        return new Connection(socket);
      } catch (IOException e) {
        closeQuietly(socket);
        if (System.nanoTime() > deadline) {
          throw new InvalidInputException(
              "%s: rank 0 was not there within %d s (%s); is it started, and are %s and %s right?"
                  .formatted(
                      rendezvous.address(),
                      rendezvous.timeout().toSeconds(),
                      e.getMessage(),
                      Rendezvous.HOST,
                      Rendezvous.PORT),
              e);
        }
        DaemonThreads.sleep(RETRY_MILLISECONDS);
      }
    }
  }

  private static void closeQuietly(Socket socket) {
    try {
      socket.close();
    } catch (IOException e) {
      // it never opened
    }
  }

  /// Under which other ranks reach this one.
  String address() {
    return address;
  }

  /// Brings something to a meeting of all ranks and waits for what they bring.
  ///
  /// @param name the same on all ranks
  /// @return one content for each rank, in order
  List<byte[]> meet(String name, byte[] content) {
    check();
    var answer = new CompletableFuture<List<byte[]>>();
    meeting = answer;
    arrived.incrementAndGet();
    connection.send(new Message.Part(name, content));
    CompletableFuture.anyOf(answer, failed).join();
    if (!answer.isDone()) {
      check();
    }
    return answer.join();
  }

  /// Says that this rank has come to where it needs the others, for those who watch for late ones.
  void arrive() {
    arrived.incrementAndGet();
  }

  /// Waits for something that other ranks take part in.
  void await(BooleanSupplier done) {
    for (int looks = 0; !done.getAsBoolean(); looks++) {
      if (looks % 64 == 0) {
        check();
      }
      LockSupport.parkNanos(LOOK_NANOS);
    }
  }

  /// @throws RankFailedException if no rank can go on
  void check() {
    @Nullable String cause = failed.getNow(null);
    if (cause != null) {
      throw new RankFailedException(cause);
    }
  }

  /// Why no rank can go on, after something broke here: mostly another rank ended, and the
  /// coordinator is about to say which.
  RankFailedException explain(String symptom) {
    for (int beat = 0; beat < Heartbeat.SHORT && !failed.isDone(); beat++) {
      DaemonThreads.sleep(heartbeat.milliseconds());
    }
    fail("rank %d of %d: %s".formatted(rendezvous.rank(), rendezvous.size(), symptom));
    return new RankFailedException(failed.join());
  }

  /// Ends the run on all ranks.
  void fail(String cause) {
    if (failed.complete(cause)) {
      connection.send(new Message.Failure(cause));
    }
  }

  private void listen() {
    try {
      while (true) {
        handle(connection.read());
      }
    } catch (IOException e) {
      if (!allLeft.isDone()) {
        failed.complete(FailureMessages.ended(0, rendezvous.size()));
      }
    }
  }

  private void handle(Message message) throws IOException {
    silentBeats.set(0);
    switch (message) {
      case Message.Beat _ -> {}
      case Message.Whole(List<byte[]> contents) -> meeting.complete(contents);
      case Message.Failure(String cause) -> failed.complete(cause);
      case Message.Leave _ -> allLeft.complete(true);
      case Message.Join _, Message.Welcome _, Message.Part _ ->
          throw new IOException("not for a rank");
    }
  }

  private boolean beat() {
    connection.send(new Message.Beat(arrived.get()));
    if (silentBeats.incrementAndGet() > Heartbeat.SILENT) {
      failed.complete(FailureMessages.silent(0, rendezvous.size()));
    }
    return !failed.isDone() && !allLeft.isDone();
  }

  /// Waits until all ranks have left or one has failed.
  @Override
  public void close() {
    arrive();
    connection.send(new Message.Leave());
    CompletableFuture.anyOf(allLeft, failed).join();
    connection.close();
  }
}
