package io.xlstm4j.bench;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.kernels.ElementwiseKernel;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;

/// The speed at which this machine reads memory, which bounds decoding: the sum of a mapped file of
/// 1 GiB, where weights lie too, by vectors, on one thread and on all.
final class Bandwidth implements Benchmark {
  private static final int PIECE = 1 << 20; // bytes of a task
  private static final int GIB = 1 << 30;

  private final int bytes;

  Bandwidth() {
    this(GIB);
  }

  /// @param bytes of the file, a multiple of 1 MiB
  Bandwidth(int bytes) {
    this.bytes = bytes;
  }

  @Override
  public String name() {
    return "bandwidth";
  }

  @Override
  public String description() {
    return "the sum of a mapped file of 1 GiB, on one thread and on all";
  }

  @Override
  public double warmupSeconds() {
    return 2;
  }

  @Override
  public List<Case> cases(Setting setting) {
    return List.of(
        benchCase("read mapped memory, one thread", false, setting.timing()),
        benchCase("read mapped memory, all threads", true, setting.timing()));
  }

  private Case benchCase(String name, boolean all, Timing timing) {
    return new Case(
        name, () -> measure(name, all ? Kernels.shared().threads().count() : 1, timing));
  }

  private Measurement measure(String name, int threads, Timing timing) {
    var workers = new KernelThreads(threads);
    ElementwiseKernel kernel = Kernels.shared().elementwise();
    int floats = PIECE / Float.BYTES;
    try (Arena arena = Arena.ofShared()) {
      MemorySegment mapped = map(arena);
      var sums = new float[bytes / PIECE];
      Timing.Result timed =
          timing.measure(() ->
              workers.run(
                  sums.length, i -> sums[i] = kernel.sum(mapped, (long) i * floats, floats)));
      if (sums[0] != floats) {
        throw new IllegalStateException("a piece of ones adds up to " + sums[0]);
      }
      var keys = new LinkedHashMap<String, Object>();
      keys.put("bytes", bytes);
      return Measurement.of(name, threads, timed, keys)
          .with("gb_per_s", bytes / timed.ms() / 1e6)
          .with("gb_per_s_best", bytes / timed.bestMs() / 1e6);
    } finally {
      workers.close();
    }
  }

  /// Maps a file of ones that is in the page cache and has no name any more.
  private MemorySegment map(Arena arena) {
    try {
      Path file = Files.createTempFile("xlstm-bench", ".bin");
      try (var channel =
          FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        ByteBuffer ones = ByteBuffer.allocateDirect(PIECE).order(ByteOrder.nativeOrder());
        while (ones.hasRemaining()) {
          ones.putFloat(1);
        }
        for (int at = 0; at < bytes; at += PIECE) {
          ones.rewind();
          while (ones.hasRemaining()) {
            channel.write(ones);
          }
        }
        return channel.map(FileChannel.MapMode.READ_ONLY, 0, bytes, arena);
      } finally {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          "a file to be read cannot be written: " + OneLine.reason(e), e);
    }
  }
}
