package io.xlstm4j.train.parallel;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// The messages between the ranks and the coordinator; each begins with a byte that says which it
/// is.
sealed interface Message {
  /// Longer contents are refused, so that a stranger's bytes are not taken for a length.
  int MOST_BYTES = 64 << 20;

  /// First word of a rank.
  record Join(int rank, int size) implements Message {
    private static final int MAGIC = 0x786C5401; // the last byte counts versions
  }

  /// All ranks have joined.
  ///
  /// @param address that the rank should use for itself
  record Welcome(String address) implements Message {}

  /// A sign of life, both ways.
  ///
  /// @param arrived how many meetings the sender has come to
  record Beat(long arrived) implements Message {}

  /// The contribution of one rank to a collective operation.
  record Part(String meeting, byte[] content) implements Message {}

  /// The contributions of all ranks, in the order of ranks.
  record Whole(List<byte[]> contents) implements Message {}

  /// No rank can go on.
  record Failure(String cause) implements Message {}

  /// A rank is done; from the coordinator: all are.
  record Leave() implements Message {}

  default void write(DataOutputStream out) throws IOException {
    switch (this) {
      case Join(int rank, int size) -> {
        out.writeByte(0);
        out.writeInt(Join.MAGIC);
        out.writeInt(rank);
        out.writeInt(size);
      }
      case Welcome(String address) -> {
        out.writeByte(1);
        out.writeUTF(address);
      }
      case Beat(long arrived) -> {
        out.writeByte(2);
        out.writeLong(arrived);
      }
      case Part(String meeting, byte[] content) -> {
        out.writeByte(3);
        out.writeUTF(meeting);
        writeBytes(out, content);
      }
      case Whole(List<byte[]> contents) -> {
        out.writeByte(4);
        out.writeInt(contents.size());
        for (byte[] content : contents) {
          writeBytes(out, content);
        }
      }
      case Failure(String cause) -> {
        out.writeByte(5);
        out.writeUTF(cause);
      }
      case Leave() -> out.writeByte(6);
    }
    out.flush();
  }

  /// @throws IOException also if these are no bytes of ours
  static Message read(DataInputStream in) throws IOException {
    int kind = in.readUnsignedByte();
    return switch (kind) {
      case 0 -> {
        if (in.readInt() != Join.MAGIC) {
          throw new IOException("no rank of this version");
        }
        yield new Join(in.readInt(), in.readInt());
      }
      case 1 -> new Welcome(in.readUTF());
      case 2 -> new Beat(in.readLong());
      case 3 -> new Part(in.readUTF(), readBytes(in));
      case 4 -> {
        int count = in.readInt();
        var contents = new ArrayList<byte[]>();
        for (int i = 0; i < count; i++) {
          contents.add(readBytes(in));
        }
        yield new Whole(contents);
      }
      case 5 -> new Failure(in.readUTF());
      case 6 -> new Leave();
      default -> throw new IOException("no message begins with " + kind);
    };
  }

  private static void writeBytes(DataOutputStream out, byte[] bytes) throws IOException {
    if (bytes.length > MOST_BYTES) {
      throw new IllegalArgumentException(
          "%d bytes are too many for one message; at most %d".formatted(bytes.length, MOST_BYTES));
    }
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  private static byte[] readBytes(DataInputStream in) throws IOException {
    int length = in.readInt();
    if (length < 0 || length > MOST_BYTES) {
      throw new IOException("a length of " + length);
    }
    return in.readNBytes(length);
  }
}
