package io.xlstm4j.train.run;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.train.logging.SystemInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/// The right of one process to train in a run folder: a lock of the system on the file `.lock`,
/// which names the owner.
///
/// The system gives the lock back when its process ends in whatever way, so what a dead process, or
/// one before a restart of the machine, left in the file does not matter. Where the file system has
/// no locks, as on some network disks, the file's text decides: a process of this machine that
/// lives owns the folder, and one of another machine, which cannot be looked at from here, too.
///
/// The file stays, empty, when the owner is done. Of several processes that train one run together
/// the first alone takes the lock.
public final class RunLock implements AutoCloseable {
  static final String FILE_NAME = ".lock";

  private static final int LONGEST = 4096;
  private static final long AFTER_TEXT = 1L << 40; // Windows lets nobody read what is locked
  private static final long SETTLE_MILLISECONDS = 100;

  /// Folders locked by this process: a second channel of one process on a file would, on closing,
  /// give back the lock of the first.
  private static final Set<Path> OWN = ConcurrentHashMap.newKeySet();

  private final Path real;
  private final FileChannel channel;

  private RunLock(Path real, FileChannel channel) {
    this.real = real;
    this.channel = channel;
  }

  /// The process that trains.
  ///
  /// @param pid of the process
  /// @param host its machine
  /// @param started when the process began, ISO 8601; null if the system does not tell
  record Owner(long pid, String host, @Nullable String started) {
    static Owner self() {
      ProcessHandle process = ProcessHandle.current();
      return new Owner(
          process.pid(),
          SystemInfo.hostName(),
          process.info().startInstant().map(Instant::toString).orElse(null));
    }

    /// Returns whether the process lives; true also if it is one of another machine.
    boolean mayLive() {
      if (!host.equals(SystemInfo.hostName())) {
        return true;
      }
      Optional<ProcessHandle> process = ProcessHandle.of(pid).filter(ProcessHandle::isAlive);
      return process.isPresent()
          && process
              .flatMap(found -> found.info().startInstant())
              .map(found -> started == null || found.toString().equals(started))
              .orElse(true);
    }
  }

  /// Asks the system for a lock.
  @FunctionalInterface
  interface Locker {
    /// @return null if another process has it
    /// @throws IOException if the file system has no locks
    @Nullable FileLock lock(FileChannel channel) throws IOException;
  }

  /// Takes the lock of a folder that exists.
  ///
  /// @throws InvalidInputException if another process trains there, or the file cannot be written;
  ///   then nothing has changed
  public static RunLock take(Path folder) {
    return take(folder, channel -> channel.tryLock(AFTER_TEXT, 1, false));
  }

  /// Returns whether a lock file is there, taken or not.
  public static boolean isIn(Path folder) {
    return Files.exists(folder.resolve(FILE_NAME));
  }

  static RunLock take(Path folder, Locker locker) {
    Path file = folder.resolve(FILE_NAME);
    try {
      Path real = folder.toRealPath();
      if (!OWN.add(real)) {
        throw refused(folder, Owner.self());
      }
      @Nullable FileChannel channel = null;
      boolean taken = false;
      try {
        channel =
            FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
        lock(folder, channel, locker);
        taken = true;
        return new RunLock(real, channel);
      } finally {
        if (!taken) {
          OWN.remove(real);
          if (channel != null) {
            channel.close();
          }
        }
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(file) + ": cannot be written: " + OneLine.reason(e), e);
    }
  }

  private static void lock(Path folder, FileChannel channel, Locker locker) throws IOException {
    boolean bySystem = true;
    try {
      if (locker.lock(channel) == null) {
        throw refused(folder, owner(channel));
      }
    } catch (OverlappingFileLockException e) {
      throw refused(folder, owner(channel));
    } catch (IOException e) {
      bySystem = false;
    }
    if (bySystem) {
      write(channel, Owner.self());
      return;
    }
    @Nullable Owner owner = owner(channel);
    if (owner != null && !owner.equals(Owner.self()) && owner.mayLive()) {
      throw refused(folder, owner);
    }
    write(channel, Owner.self());
    settle();
    @Nullable Owner now = owner(channel); // of two at once the last to write stays
    if (!Owner.self().equals(now)) {
      throw refused(folder, now);
    }
  }

  private static void settle() {
    try {
      Thread.sleep(SETTLE_MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static InvalidInputException refused(Path folder, @Nullable Owner owner) {
    String name = OneLine.of(folder);
    if (owner == null) {
      return new InvalidInputException(
          name + ": another process trains here; wait for its end, or choose another --out");
    }
    boolean here = owner.host().equals(SystemInfo.hostName());
    return new InvalidInputException(
        here
            ? "%s: process %d trains here; wait for its end or stop it, or choose another --out"
                .formatted(name, owner.pid())
            : "%s: process %d of %s trains here; if that one has ended, remove %s"
                .formatted(
                    name,
                    owner.pid(),
                    OneLine.of(owner.host()),
                    OneLine.of(folder.resolve(FILE_NAME))));
  }

  /// The owner by the file's text; null if it says nothing or nothing that can be read.
  private static @Nullable Owner owner(FileChannel channel) throws IOException {
    var bytes = ByteBuffer.allocate((int) Math.min(LONGEST, channel.size()));
    while (bytes.hasRemaining() && channel.read(bytes, bytes.position()) > 0) {}
    String text = new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8);
    try {
      return text.isBlank()
          ? null
          : StrictBinder.toRecord(StrictBinder.parse(text, FILE_NAME), Owner.class, FILE_NAME);
    } catch (InvalidInputException e) {
      return null; // torn by a kill
    }
  }

  private static void write(FileChannel channel, Owner owner) throws IOException {
    byte[] json = StrictBinder.toJson(StrictBinder.toTree(owner)).getBytes(StandardCharsets.UTF_8);
    channel.truncate(0);
    var bytes = ByteBuffer.wrap(json);
    while (bytes.hasRemaining()) {
      channel.write(bytes, bytes.position());
    }
  }

  /// Gives the lock back.
  @Override
  public void close() {
    try (channel) {
      channel.truncate(0);
    } catch (IOException e) {
      // the text of a process that is gone does not matter
    } finally {
      OWN.remove(real);
    }
  }
}
