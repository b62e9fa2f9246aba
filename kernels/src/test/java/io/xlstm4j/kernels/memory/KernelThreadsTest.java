package io.xlstm4j.kernels.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KernelThreadsTest {
  @ParameterizedTest(name = "{0} threads")
  @ValueSource(ints = {1, 2, 3, 8})
  void every_task_runs_exactly_once_and_before_run_returns(int threadCount) {
    var threads = new KernelThreads(threadCount);
    for (int tasks : new int[] {0, 1, 2, 3, 100, 1000}) {
      for (int round = 0; round < 50; round++) {
        var runs = new AtomicIntegerArray(Math.max(1, tasks));
        threads.run(tasks, runs::getAndIncrement);
        for (int i = 0; i < tasks; i++) {
          assertThat(runs.get(i)).isEqualTo(1);
        }
      }
    }
    threads.close();
  }

  @ParameterizedTest(name = "{0} threads")
  @ValueSource(ints = {1, 2, 3})
  void what_a_task_throws_reaches_the_caller_and_the_threads_live_on(int threadCount) {
    var threads = new KernelThreads(threadCount);
    assertThatThrownBy(() ->
            threads.run(
                10,
                i -> {
                  if (i == 7) {
                    throw new IllegalStateException("task 7");
                  }
                }))
        .hasMessage("task 7");
    var runs = new AtomicIntegerArray(10);
    threads.run(10, runs::getAndIncrement);
    assertThat(runs.get(9)).isEqualTo(1);
    threads.close();
  }
}
