package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/// A batch cut into groups of rows that go through a whole block one after the other: what one
/// kernel writes, the next still finds in the second cache.
///
/// How the batch is cut depends on its size alone, so results do not depend on the threads. With
/// fewer groups than threads the groups follow each other, and their kernels share the threads.
final class SequenceGroups {
  private final int batch;
  private final int perGroup;

  /// @param perGroup rows of a group; the last may have fewer
  SequenceGroups(int batch, int perGroup) {
    this.batch = batch;
    this.perGroup = perGroup;
  }

  int groups() {
    return Math.ceilDiv(batch, perGroup);
  }

  /// Rows of the largest group.
  int maxGroupSize() {
    return Math.min(batch, perGroup);
  }

  /// Groups at work at one time, each in scratch of its own.
  int atOnce(KernelThreads threads) {
    return groups() < threads.count() ? 1 : Math.min(groups(), threads.count());
  }

  /// One group.
  ///
  /// @param first row
  /// @param count rows
  /// @param batch rows in all
  /// @param perGroup rows of the largest group
  record Group(int number, int first, int count, int batch, int perGroup) {
    /// The group's part of memory whose first axis is the batch.
    MemorySegment of(MemorySegment all) {
      long row = all.byteSize() / batch;
      return all.asSlice(first * row, count * row);
    }

    /// Groups in all.
    int groups() {
      return Math.ceilDiv(batch, perGroup);
    }

    @Nullable MemorySegment ofOptional(@Nullable MemorySegment all) {
      return all == null ? null : of(all);
    }
  }

  /// A task for one group.
  interface Task {
    /// @param kernels to use for it
    /// @param scratch memory that no other group touches meanwhile
    void run(Group group, Kernels kernels, MemorySegment scratch);
  }

  /// Runs a task for each group.
  ///
  /// @param scratch [#atOnce] times `bytes`
  void run(Kernels kernels, MemorySegment scratch, long bytes, Task task) {
    int atOnce = atOnce(kernels.threads());
    if (atOnce == 1) {
      for (int number = 0; number < groups(); number++) {
        task.run(group(number), kernels, scratch);
      }
      return;
    }
    var free = new ConcurrentLinkedQueue<MemorySegment>();
    for (int i = 0; i < atOnce; i++) {
      free.add(scratch.asSlice(i * bytes, bytes));
    }
    kernels
        .threads()
        .run(
            groups(),
            number -> {
              MemorySegment mine = free.remove();
              try {
                task.run(group(number), kernels.singleThreaded(), mine);
              } finally {
                free.add(mine);
              }
            });
  }

  private Group group(int number) {
    int first = number * perGroup;
    return new Group(number, first, Math.min(perGroup, batch - first), batch, perGroup);
  }
}
