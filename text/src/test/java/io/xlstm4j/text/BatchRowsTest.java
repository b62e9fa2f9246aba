package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The contents of batches beside ids and targets: starts of documents, epochs, fingerprints.
class BatchSequencesTest {
  private static final int LENGTH = 6;

  @TempDir private Path folder;

  private record Sequence(List<Integer> inputs, List<Integer> targets) {}

  private static Sequence sequence(Batch batch, int sequence) {
    Batch one = batch.slice(sequence, sequence + 1);
    return new Sequence(
        Arrays.stream(one.inputs()).boxed().toList(),
        Arrays.stream(one.targets()).boxed().toList());
  }

  private static List<Boolean> starts(Batch batch, int sequence) {
    boolean[] starts = batch.slice(sequence, sequence + 1).starts();
    var list = new Boolean[starts.length];
    Arrays.setAll(list, i -> starts[i]);
    return List.of(list);
  }

  @Test
  void a_sequence_of_a_mix_starts_documents_where_its_source_does() throws IOException {
    try (var tokens = Samples.tokenFile(folder, "ab", "c", "defghijk", "lm", "nopq", "r")) {
      var source = new Batches(tokens, 3, LENGTH, 1);
      Map<Sequence, List<Boolean>> known = new HashMap<>();
      for (int number = 0; number < 20; number++) {
        Batch batch = source.batch(number);
        for (int sequence = 0; sequence < 3; sequence++) {
          known.put(sequence(batch, sequence), starts(batch, sequence));
        }
      }
      assertThat(known.values()).anyMatch(starts -> starts.lastIndexOf(true) > 0);
      var mix = new MixedBatches(List.of(new MixedBatches.Part("one", source, 1)), 4, 5);
      for (int number = 0; number < 20; number++) {
        Batch batch = mix.batch(number);
        for (int sequence = 0; sequence < 4; sequence++) {
          assertThat(starts(batch, sequence)).isEqualTo(known.get(sequence(batch, sequence)));
        }
      }
    }
  }

  @Test
  void epochs_of_a_mix_grow_evenly_between_the_ends_of_its_blocks() throws IOException {
    try (var tokens = Samples.tokenFile(folder, "abcdefghijklmnopqrstuvwxyz")) {
      var source = new Batches(tokens, 2, LENGTH, 1);
      var mix =
          new MixedBatches(
              List.of(new MixedBatches.Part("a", source, 3), new MixedBatches.Part("b", source, 1)),
              4,
              5);
      for (long batches : new long[] {1, 100, 10_000, 16_384, 24_576, 100_001}) {
        double sequences = 4.0 * batches;
        double ofA = source.epochs(1) / 2 * sequences * 0.75;
        double ofB = source.epochs(1) / 2 * sequences * 0.25;
        assertThat(mix.epochs(0, batches)).isCloseTo(ofA, within(1e-9 * ofA));
        assertThat(mix.epochs(1, batches)).isCloseTo(ofB, within(1e-9 * ofB));
        assertThat(mix.epochs(batches)).isCloseTo((ofA + ofB) / 2, within(1e-9 * ofA));
      }
    }
  }

  @Test
  void documents_that_fill_a_window_exactly_share_it() throws IOException {
    try (var tokens = Samples.tokenFile(folder, "abc", "def", "ghi", "jkl")) {
      var batches = new DocumentBatches(tokens, 1, 8, 1); // each has 4 tokens with its end
      assertThat(batches.order().windows()).isEqualTo(2);
      assertThat(batches.fullness()).isEqualTo(1);
    }
  }

  @Test
  void fingerprints_of_streams_tell_sizes_and_tokens_apart() throws IOException {
    try (var tokens = Samples.tokenFile(folder, "abcdefgh", "ij");
        var others =
            Samples.tokenFile(Files.createDirectory(folder.resolve("others")), "abcdefgh", "ik")) {
      var all =
          List.of(
              new ContiguousBatches(tokens, 2, 3).fingerprint(),
              new ContiguousBatches(tokens, 3, 2).fingerprint(),
              new ContiguousBatches(tokens, 2, 4).fingerprint(),
              new ContiguousBatches(others, 2, 3).fingerprint());
      assertThat(Set.copyOf(all)).hasSameSizeAs(all).doesNotContain("");
      assertThat(new ContiguousBatches(tokens, 2, 3).fingerprint()).isEqualTo(all.getFirst());
      assertThat(new ContiguousBatches(tokens, 2, 3).tokenizerFingerprint())
          .isEqualTo(tokens.tokenizerFingerprint());
      var part = new MixedBatches.Part("one", new Batches(tokens, 1, 3, 0), 1);
      assertThat(new MixedBatches(List.of(part), 1, 0).tokenizerFingerprint())
          .isEqualTo(tokens.tokenizerFingerprint());
    }
  }
}
