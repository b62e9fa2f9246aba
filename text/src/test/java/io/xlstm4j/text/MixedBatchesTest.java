package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MixedBatchesTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"1", "1,1", "1,2", "0.4,0.15,0.1,0.15,0.15,0.05", "1,0.001", "7,11,13"})
  void proportions_are_exact_in_the_long_run_and_fair_in_the_short(String weights) {
    double[] weight = Arrays.stream(weights.split(",")).mapToDouble(Double::parseDouble).toArray();
    double all = Arrays.stream(weight).sum();
    var mix = counting(weight, 32, 9);
    long[] sequences = new long[weight.length];
    int blocks = 3;
    int batch = 0;
    for (; batch < blocks * 65_536 / 32; batch++) {
      for (int sequence = 0; sequence < 32; sequence++) {
        sequences[mix.part(batch, sequence)]++;
      }
      if (batch == 99) { // 3200 sequences; five deviations of a fair draw
        for (int part = 0; part < sequences.length; part++) {
          double share = weight[part] / all;
          assertThat((double) sequences[part])
              .isBetween(
                  3200 * share - 5 * Math.sqrt(3200 * share * (1 - share)) - 1,
                  3200 * share + 5 * Math.sqrt(3200 * share * (1 - share)) + 1);
        }
      }
    }
    for (int part = 0; part < sequences.length; part++) {
      double share = weight[part] / all;
      assertThat(Math.abs(sequences[part] - blocks * 65_536.0 * share)).isLessThanOrEqualTo(1);
      assertThat(mix.epochs(part, batch) * 1000)
          .isBetween(sequences[part] - 1e-6, sequences[part] + 1e-6);
    }
    assertThat(mix.epochs(batch) * weight.length * 1000)
        .isBetween(blocks * 65_536.0 - 1e-3, blocks * 65_536.0 + 1e-3);
  }

  @Test
  void a_source_gives_each_of_its_sequences_once() {
    var mix = counting(new double[] {2, 1, 1}, 16, 4);
    int batches = 2 * 65_536 / 16;
    boolean[][] seen = new boolean[3][2 * 65_536];
    for (int number = 0; number < batches; number++) {
      Batch batch = mix.batch(number);
      for (int sequence = 0; sequence < 16; sequence++) {
        int part = batch.inputs()[2 * sequence];
        int place = batch.targets()[2 * sequence];
        assertThat(part).isEqualTo(mix.part(number, sequence));
        assertThat(seen[part][place]).isFalse();
        seen[part][place] = true;
        assertThat(batch.starts()[2 * sequence]).isTrue();
        assertThat(batch.targets()[2 * sequence + 1]).isEqualTo(Batch.IGNORED);
      }
    }
    for (int part = 0; part < 3; part++) { // the first sequences of each, without a gap
      int count = part == 0 ? 65_536 : 32_768;
      for (int place = 0; place < seen[part].length; place++) {
        assertThat(seen[part][place]).isEqualTo(place < count);
      }
    }
  }

  @Test
  void parts_join_to_the_whole_batch_and_any_batch_can_be_asked_for_first() throws Exception {
    try (var one = Samples.tokenFile(folder, "abc", "defgh");
        var two = Samples.tokenFile(folder, "ijklmnopqrstu", "v")) {
      SourceChecks.partsJoin(mixed(one, two, 1), 0, 5, 1L << 40);
      SourceChecks.isResumable(mixed(one, two, 1), mixed(one, two, 1), 40);
      assertThat(mixed(one, two, 2).fingerprint()).isNotEqualTo(mixed(one, two, 1).fingerprint());
    }
  }

  private static MixedBatches mixed(Tokens one, Tokens two, long seed) {
    return new MixedBatches(
        List.of(
            new MixedBatches.Part("one", new Batches(one, 3, 4, 1), 1),
            new MixedBatches.Part("two", new DocumentBatches(two, 2, 4, 1), 3)),
        5,
        seed);
  }

  @Test
  void parts_that_do_not_go_together_are_refused() throws Exception {
    Path gpt2File = folder.resolve("gpt2.tokens");
    var corpus = Samples.MemoryCorpus.of("some text");
    try (var gpt2 = Tokenizers.builtIn("gpt2");
        var bytes = Samples.tokenFile(folder, "some text");
        var other = TokenFile.openOrBuild(corpus, Split.TRAIN, gpt2, gpt2File)) {
      var first = new MixedBatches.Part("first", new Batches(bytes, 1, 4, 0), 1);
      assertRefused(
          "mix: first and second have different tokenizers (",
          first,
          new MixedBatches.Part("second", new Batches(other, 1, 4, 0), 1));
      assertRefused(
          "mix: sequences of first have 4 tokens, sequences of second have 5; all must have the same",
          first,
          new MixedBatches.Part("second", new Batches(bytes, 1, 5, 0), 1));
      assertRefused(
          "mix: the sequences of second go on from batch to batch",
          first,
          new MixedBatches.Part("second", new ContiguousBatches(bytes, 1, 4), 1));
      assertRefused("mix: first is given twice", first, first);
      assertRefused(
          "mix: the weight of second (1.0E-5) is 1.0e-05 of all; it must be at least 1.0E-4",
          first,
          new MixedBatches.Part("second", new Batches(bytes, 1, 4, 0), 1e-5));
      assertThatThrownBy(() -> new MixedBatches.Part("x", new Batches(bytes, 1, 4, 0), 0))
          .isInstanceOf(InvalidTextException.class)
          .hasMessage("mix: the weight of x (0.0) must be positive and finite");
    }
  }

  private static void assertRefused(String message, MixedBatches.Part... parts) {
    assertThatThrownBy(() -> new MixedBatches(List.of(parts), 2, 0))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining(message);
  }

  private static MixedBatches counting(double[] weight, int sequences, long seed) {
    var parts = new MixedBatches.Part[weight.length];
    Arrays.setAll(
        parts, i -> new MixedBatches.Part("part " + i, new Counting(i, 5 + i), weight[i]));
    return new MixedBatches(List.of(parts), sequences, seed);
  }

  /// A thousand sequences in an epoch, each of which says whose it is and which.
  private record Counting(int id, int sequences) implements BatchSource {
    @Override
    public int length() {
      return 2;
    }

    @Override
    public Batch sequences(long number, int from, int to) {
      Batch batch = Batch.padding(to - from, 2, 0);
      for (int sequence = from; sequence < to; sequence++) {
        batch.inputs()[2 * (sequence - from)] = id;
        batch.targets()[2 * (sequence - from)] = (int) (number * sequences + sequence);
      }
      return batch;
    }

    @Override
    public long targetsPerEpoch() {
      return 1000;
    }

    @Override
    public double epochs(long batches) {
      return batches * sequences / 1000.0;
    }

    @Override
    public String fingerprint() {
      return Fingerprint.of("counting", "" + id);
    }

    @Override
    public String tokenizerFingerprint() {
      return Fingerprint.of("counting");
    }
  }
}
