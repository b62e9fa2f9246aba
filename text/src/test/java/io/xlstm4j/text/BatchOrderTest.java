package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BatchOrderTest {
  @ParameterizedTest(name = "{0} windows")
  @ValueSource(longs = {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1000, 4097})
  void every_window_comes_once_in_every_epoch(long windows) {
    for (int sequences : new int[] {1, 2, 3, 8, 100}) {
      var order = new BatchOrder(42, windows, sequences);
      List<Long> seen = new ArrayList<>();
      for (long batch = 0; seen.size() < 3 * windows; batch++) {
        for (int sequence = 0; sequence < sequences; sequence++) {
          assertThat(order.epoch(batch, sequence)).isEqualTo(seen.size() / windows);
          seen.add(order.window(batch, sequence));
        }
      }
      for (int epoch = 0; epoch < 3; epoch++) {
        int from = Math.toIntExact(epoch * windows);
        assertThat(seen.subList(from, from + (int) windows))
            .containsExactlyInAnyOrderElementsOf(LongStream.range(0, windows).boxed().toList());
      }
    }
  }

  @Test
  void other_epochs_and_other_seeds_have_other_orders() {
    List<List<Long>> orders = new ArrayList<>();
    for (long seed : new long[] {0, 1, 2, -1, Long.MIN_VALUE}) {
      var order = new BatchOrder(seed, 100, 1);
      for (int epoch = 0; epoch < 5; epoch++) {
        long first = epoch * 100L;
        orders.add(
            LongStream.range(first, first + 100).map(i -> order.window(i, 0)).boxed().toList());
      }
    }
    assertThat(orders).doesNotHaveDuplicates();
  }

  @Test
  void the_sequences_of_a_batch_are_the_numbers_of_the_endless_sequence() {
    var single = new BatchOrder(9, 37, 1);
    var many = new BatchOrder(9, 37, 5);
    for (int batch = 0; batch < 30; batch++) {
      for (int sequence = 0; sequence < 5; sequence++) {
        assertThat(many.window(batch, sequence)).isEqualTo(single.window(batch * 5L + sequence, 0));
      }
    }
  }

  @Test
  void every_window_comes_about_equally_often_at_every_place() {
    int windows = 10;
    int epochs = 20_000;
    int[][] count = new int[windows][windows];
    var order = new BatchOrder(3, windows, 1);
    for (int number = 0; number < windows * epochs; number++) {
      count[number % windows][(int) order.window(number, 0)]++;
    }
    for (int[] ofPlace : count) {
      for (int times : ofPlace) { // expected 2,000, standard deviation 42
        assertThat(times).isBetween(1750, 2250);
      }
    }
  }

  @Test
  void neighbours_rarely_stay_neighbours() {
    var order = new BatchOrder(5, 100_000, 1);
    int steps = 0;
    for (int i = 1; i < 100_000; i++) {
      if (order.window(i, 0) - order.window(i - 1, 0) == 1) {
        steps++;
      }
    }
    assertThat(steps).isLessThan(10); // one is expected
  }

  @Test
  void the_order_is_the_one_that_runs_were_begun_with() {
    // these numbers must never change: a resumed run would see some text twice
    var order = new BatchOrder(1, 1000, 4);
    assertThat(LongStream.range(0, 12).map(i -> order.window(i / 4, (int) (i % 4))).toArray())
        .containsExactly(PINNED);
    assertThat(new BatchOrder(7, 3_000_000_000L, 1).window(5_000_000_000L, 0))
        .isEqualTo(PINNED_LARGE);
  }

  private static final long[] PINNED = {779, 660, 494, 886, 740, 499, 713, 827, 279, 744, 526, 269};
  private static final long PINNED_LARGE = 1_342_245_193L;

  @Test
  void what_cannot_be_is_refused() {
    assertThatThrownBy(() -> new BatchOrder(0, 0, 1)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new BatchOrder(0, 1, 0)).isInstanceOf(IllegalArgumentException.class);
    var order = new BatchOrder(0, 10, 2);
    assertThatThrownBy(() -> order.window(-1, 0)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> order.window(0, 2)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> order.window(Long.MAX_VALUE, 0))
        .isInstanceOf(ArithmeticException.class);
  }
}
