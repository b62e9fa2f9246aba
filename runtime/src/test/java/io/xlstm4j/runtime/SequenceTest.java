package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.ModelState;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.kernels.Kernels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// The influences that may and may not change a row's numbers.
class SequenceTest {
  @TempDir private Path temporary;

  static List<String> names() {
    return Fixtures.NAMES;
  }

  private RuntimeModel open(String name) {
    return RuntimeModel.open(Fixtures.folder(name, DType.F32, temporary));
  }

  private static int[] ids(RuntimeModel model, int count, int seed) {
    return new Random(seed).ints(count, 0, model.vocabSize()).toArray();
  }

  @ParameterizedTest
  @MethodSource("names")
  void a_run_cut_anywhere_is_the_whole_run(String name) {
    try (var model = open(name);
        Sequence whole = model.newSequence()) {
      int[] ids = ids(model, 300, 1); // more than goes through at once
      model.prefill(whole, ids);
      for (int cut : new int[] {1, 2, 3, 4, 63, 64, 65, 255, 256, 257, 298, 299}) {
        try (Sequence parts = model.newSequence()) {
          model.prefill(parts, Arrays.copyOf(ids, cut));
          model.prefill(parts, Arrays.copyOfRange(ids, cut, ids.length));
          assertThat(parts.position()).isEqualTo(300);
          double scale = 1 + largest(whole.logits());
          assertThat(difference(parts.logits(), whole.logits()))
              .as("cut at " + cut)
              .isLessThan(1e-5 * scale);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void a_row_in_a_batch_is_the_row_alone_bit_for_bit(String name) {
    try (var model = open(name)) {
      for (int size : new int[] {2, 3, 5, 9}) {
        var alone = new Sequence[size];
        var together = new Sequence[size];
        for (int i = 0; i < size; i++) { // at different positions
          alone[i] = model.newSequence();
          model.prefill(alone[i], ids(model, 1 + 3 * i, i));
          together[i] = alone[i].fork();
        }
        for (int step = 0; step < 6; step++) {
          int[] next = ids(model, size, 100 + step);
          for (int i = 0; i < size; i++) {
            model.step(new int[] {next[i]}, alone[i]);
          }
          model.step(next, together);
        }
        for (int i = 0; i < size; i++) {
          assertThat(together[i].logits()).as("row " + i).containsExactly(alone[i].logits());
          assertThat(together[i].snapshot()).as("row " + i).isEqualTo(alone[i].snapshot());
          alone[i].close();
          together[i].close();
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void the_number_of_threads_changes_no_bit(String name) {
    Path folder = Fixtures.folder(name, DType.BF16, temporary);
    float[][] logits = new float[3][];
    for (int threads = 1; threads <= 3; threads++) {
      try (var model = RuntimeModel.open(folder, threads);
          Sequence row = model.newSequence()) {
        model.prefill(row, ids(model, 70, 1));
        model.step(new int[] {1}, row);
        logits[threads - 1] = row.logits();
      }
    }
    assertThat(logits[1]).containsExactly(logits[0]);
    assertThat(logits[2]).containsExactly(logits[0]);
  }

  @ParameterizedTest
  @MethodSource("names")
  void a_saved_and_restored_row_goes_on_as_if_never_interrupted(String name) {
    Path file = temporary.resolve("row.state");
    try (var model = open(name);
        Sequence row = model.newSequence()) {
      model.prefill(row, ids(model, 20, 1));
      row.save(file);
      try (var other = RuntimeModel.open(folderOf(name), 1); // in another process, say
          Sequence restored = other.restore(file)) {
        assertThat(restored.position()).isEqualTo(20);
        assertThat(restored.logits()).containsExactly(row.logits());
        for (int step = 0; step < 5; step++) {
          int[] id = {step};
          model.step(id, row);
          other.step(id, restored);
        }
        assertThat(restored.logits()).containsExactly(row.logits());
        assertThat(restored.snapshot()).isEqualTo(row.snapshot());
      }
    }
  }

  private Path folderOf(String name) {
    return temporary.resolve(name + "-" + DType.F32);
  }

  @Test
  void a_fresh_row_can_be_saved_too() {
    Path file = temporary.resolve("row.state");
    try (var model = open("paper_lm_bias_tied");
        Sequence row = model.newSequence()) {
      row.save(file);
      try (Sequence restored = model.restore(file)) {
        assertThat(restored.position()).isZero();
        assertThat(restored.hasLogits()).isFalse();
        assertThatThrownBy(restored::logits).isInstanceOf(IllegalStateException.class);
      }
    }
  }

  @Test
  void forks_go_their_own_ways_and_a_reset_row_is_fresh() {
    try (var model = open("paper_lm_7to1");
        Sequence row = model.newSequence();
        Sequence fresh = model.newSequence()) {
      model.prefill(row, 1, 2, 3);
      ModelState before = row.snapshot();
      try (Sequence fork = row.fork()) {
        model.step(new int[] {5}, fork);
        assertThat(row.snapshot()).isEqualTo(before);
        assertThat(fork.snapshot()).isNotEqualTo(before);
        fork.copyFrom(row);
        assertThat(fork.snapshot()).isEqualTo(before);
        assertThat(fork.logits()).containsExactly(row.logits());
      }
      row.reset();
      assertThat(row.snapshot()).isEqualTo(fresh.snapshot());
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void states_as_values_give_what_rows_give_and_are_never_written(String name) {
    try (var model = open(name);
        Sequence row = model.newSequence()) {
      int[] ids = ids(model, 10, 1);
      model.prefill(row, ids);
      ModelState start = model.initialState();
      var prediction = model.prefill(ids, start);
      assertThat(prediction.logits()).containsExactly(row.logits());
      assertThat(start).isEqualTo(model.initialState());
      ModelState state = prediction.state();
      assertThat(state.position()).isEqualTo(10);
      var next = model.step(new int[] {1, 2}, List.of(state, state));
      model.step(new int[] {1}, row);
      assertThat(next.getFirst().logits()).containsExactly(row.logits());
      assertThat(next.getFirst().state()).isEqualTo(row.snapshot());
      assertThat(next.getLast().logits()).isNotEqualTo(row.logits());
    }
  }

  @Test
  void more_rows_than_go_through_at_once_are_advanced_all_the_same() {
    try (var model = open("paper_lm_bias_tied")) {
      int size = Workspace.TOKENS + 3;
      Sequence[] rows =
          IntStream.range(0, size).mapToObj(_ -> model.newSequence()).toArray(Sequence[]::new);
      int[] ids = ids(model, size, 1);
      model.step(ids, rows);
      for (int i : new int[] {0, 64, 255, 256, 258}) {
        try (Sequence alone = model.newSequence()) {
          model.step(new int[] {ids[i]}, alone);
          assertThat(rows[i].logits()).containsExactly(alone.logits());
        }
      }
      Arrays.stream(rows).forEach(Sequence::close);
    }
  }

  @Test
  void a_model_that_is_only_stepped_or_only_reads_prompts_warms_up_after_its_first_tokens() {
    Path folder = Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary);
    for (boolean steps : new boolean[] {true, false}) {
      Kernels cold = Kernels.starting(1);
      try (var model = RuntimeModel.open(folder, cold);
          Sequence row = model.newSequence()) {
        assertThat(cold.jitWarmUpHasBegun()).isFalse();
        if (steps) {
          model.step(new int[] {1}, row);
        } else {
          model.prefill(row, 1, 2);
        }
        assertThat(cold.jitWarmUpHasBegun()).isTrue();
      } finally {
        cold.threads().close();
      }
    }
  }

  @Test
  void the_plain_kernels_give_the_same_numbers_up_to_rounding() {
    Path folder = Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary);
    Kernels plain = Kernels.with(1, false);
    try (var model = RuntimeModel.open(folder);
        var other = RuntimeModel.open(folder, plain);
        Sequence row = model.newSequence();
        Sequence otherRow = other.newSequence()) {
      int[] ids = ids(model, 100, 1);
      model.prefill(row, ids);
      other.prefill(otherRow, ids);
      assertThat(difference(row.logits(), otherRow.logits())).isLessThan(1e-4);
    } finally {
      plain.threads().close();
    }
  }

  @Test
  void wrong_calls_are_refused_and_leave_the_rows_as_they_were() {
    try (var model = open("paper_lm_7to1");
        var other = open("paper_lm_slstm_only");
        Sequence row = model.newSequence();
        Sequence foreign = other.newSequence()) {
      model.prefill(row, 1, 2);
      ModelState before = row.snapshot();
      assertThatThrownBy(() -> model.prefill(row)).hasMessageContaining("at least one");
      assertThatThrownBy(() -> model.prefill(row, 1, 96))
          .hasMessage("token id (96) must be in [0, vocabSize (96))");
      assertThatThrownBy(() -> model.step(new int[] {-1}, row))
          .hasMessage("token id (-1) must be in [0, vocabSize (96))");
      assertThatThrownBy(() -> model.step(new int[] {1, 2}, row, row))
          .hasMessage("row 1 comes twice in one step");
      assertThatThrownBy(() -> model.step(new int[] {1}, row, row))
          .hasMessageContaining("equally many");
      assertThatThrownBy(() -> model.step(new int[] {1}, foreign))
          .hasMessage("the row belongs to another model");
      assertThatThrownBy(() -> row.load(foreign.snapshot())).hasMessageContaining("parts");
      assertThat(row.snapshot()).isEqualTo(before);
    }
  }

  @Test
  void a_closed_model_says_so_and_its_file_can_be_deleted() throws Exception {
    Path folder = Fixtures.folder("paper_lm_bias_tied", DType.F32, temporary);
    var model = RuntimeModel.open(folder, 2);
    Sequence row = model.newSequence();
    model.prefill(row, 1);
    model.close();
    model.close();
    assertThatThrownBy(() -> model.step(new int[] {1}, row))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("is closed");
    row.close();
    row.close();
    Files.delete(folder.resolve("model.safetensors"));
  }

  static double difference(float[] a, float[] b) {
    double most = 0;
    for (int i = 0; i < a.length; i++) {
      double d = Math.abs((double) a[i] - b[i]);
      most = Double.isNaN(d) ? Double.POSITIVE_INFINITY : Math.max(most, d);
    }
    return most;
  }

  private static double largest(float[] a) {
    return difference(a, new float[a.length]);
  }
}
