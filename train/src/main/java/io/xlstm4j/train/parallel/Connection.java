package io.xlstm4j.train.parallel;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/// One connection between a rank and the coordinator. Any thread may send and never waits; one
/// reads.
final class Connection implements AutoCloseable {
  private static final long LAST_WORD_MILLISECONDS = 500;

  private final Socket socket;
  private final DataInputStream in;
  private final DataOutputStream out;
  private final BlockingQueue<Optional<Message>> outgoing = new LinkedBlockingQueue<>();
  private final Thread writer;

  Connection(Socket socket) throws IOException {
    this.socket = socket;
    socket.setTcpNoDelay(true);
    in = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
    out = new DataOutputStream(new BufferedOutputStream(socket.getOutputStream()));
    writer = DaemonThreads.start("xlstm-rank-out", this::write);
  }

  /// Sends soon. That the other end is gone is noticed where this connection is read.
  void send(Message message) {
    outgoing.add(Optional.of(message));
  }

  private void write() {
    try {
      Optional<Message> next = outgoing.take();
      while (next.isPresent()) {
        next.get().write(out);
        next = outgoing.take();
      }
    } catch (IOException e) {
      // gone
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  Message read() throws IOException {
    return Message.read(in);
  }

  /// @param milliseconds after which [#read] fails; 0 for never
  void readTimeout(int milliseconds) throws IOException {
    socket.setSoTimeout(milliseconds);
  }

  /// Returns the address of this end.
  InetAddress localAddress() {
    return socket.getLocalAddress();
  }

  /// Returns the address of the other end.
  InetAddress remoteAddress() {
    return socket.getInetAddress();
  }

  /// Sends what waits, unless the other end does not read it, and hangs up.
  @Override
  public void close() {
    outgoing.add(Optional.empty());
    try {
      writer.join(LAST_WORD_MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    try {
      socket.close();
    } catch (IOException e) {
      // it was broken already
    }
  }
}
