package io.xlstm4j.text;

import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/// Sequences of several sources, mixed by weight.
///
/// Sequence r of batch i is number g = i · sequences + r of an endless sequence, which is cut into
/// blocks of 65,536. After b whole blocks a source has given its weight's share of the sequences to
/// within one sequence, so proportions are exact in the long run; within a block a keyed
/// permutation decides which sequences are whose. Which source a sequence comes from, and which of
/// the source's own sequences it is, are thus pure functions of seed, batch and sequence. A source
/// gives each of its sequences once, in an order that is its own but for the permutation, so that
/// each has epochs of its own.
public final class MixedBatches implements BatchSource {
  private static final int BLOCK = 1 << 16; // sequences
  private static final double SMALLEST_SHARE = 1e-4; // several sequences of every block

  private final List<Part> parts;
  private final double[] bounds; // cumulative shares, the last is 1
  private final int sequences;
  private final int length;
  private final long seed;
  private final BatchOrder order;

  /// One source of a mix.
  ///
  /// @param name for people, and for messages
  /// @param source its number of sequences in a batch does not matter
  /// @param weight relative to the others, above 0
  public record Part(String name, BatchSource source, double weight) {
    public Part {
      if (!(weight > 0) || Double.isInfinite(weight)) {
        throw new InvalidTextException(
            "mix: the weight of " + name + " (" + weight + ") must be positive and finite");
      }
    }
  }

  /// @param parts at least one, of the same tokenizer and length
  /// @param sequences B, sequences in a batch
  /// @param seed of the mix; each source keeps its own
  /// @throws InvalidTextException if the parts do not go together
  public MixedBatches(List<Part> parts, int sequences, long seed) {
    if (parts.isEmpty()) {
      throw new IllegalArgumentException("a mix needs at least one part");
    }
    this.parts = List.copyOf(parts);
    this.sequences = sequences;
    this.length = parts.getFirst().source().length();
    this.seed = seed;
    this.bounds = new double[parts.size()];
    SequenceRange.checkShape(sequences, length);
    check();
    double all = parts.stream().mapToDouble(Part::weight).sum();
    double sum = 0;
    for (int i = 0; i < bounds.length; i++) {
      Part part = parts.get(i);
      if (part.weight() / all < SMALLEST_SHARE) {
        throw new InvalidTextException(
            String.format(
                Locale.ROOT,
                "mix: the weight of %s (%s) is %.2g of all; it must be at least %s of all",
                part.name(),
                part.weight(),
                part.weight() / all,
                SMALLEST_SHARE));
      }
      sum += part.weight();
      bounds[i] = i == bounds.length - 1 ? 1 : sum / all;
    }
    this.order = new BatchOrder(seed, BLOCK, sequences);
  }

  private void check() {
    Part first = parts.getFirst();
    Set<String> names = new HashSet<>();
    for (Part part : parts) {
      if (!names.add(part.name())) {
        throw new InvalidTextException("mix: " + part.name() + " is given twice; add the weights");
      }
      if (part.source().continuous()) {
        throw new InvalidTextException(
            "mix: the sequences of "
                + part.name()
                + " go on from batch to batch, which a mix cannot keep up; give windows or"
                + " documents");
      }
      if (part.source().length() != length) {
        throw new InvalidTextException(
            "mix: sequences of %s have %d tokens, sequences of %s have %d; all must have the same"
                .formatted(first.name(), length, part.name(), part.source().length()));
      }
      if (!part.source().tokenizerFingerprint().equals(first.source().tokenizerFingerprint())) {
        throw new InvalidTextException(
            "mix: %s and %s have different tokenizers (%s and %s); encode both with the same"
                .formatted(
                    first.name(),
                    part.name(),
                    first.source().tokenizerFingerprint().substring(0, 12),
                    part.source().tokenizerFingerprint().substring(0, 12)));
      }
    }
  }

  /// The sources, in the order of their indices.
  public List<Part> parts() {
    return parts;
  }

  /// Index of the source that a sequence of a batch comes from.
  public int part(long number, int sequence) {
    SequenceRange.check(number, sequence, sequence + 1, sequences);
    return place(number, sequence).part;
  }

  /// Returns the epochs of one source completed after the batches [0, batches).
  ///
  /// @param part index of the source; inside a block its sequences are estimated by its share
  public double epochs(int part, long batches) {
    long numbers = Math.multiplyExact(batches, sequences);
    long block = numbers / BLOCK;
    double given =
        given(part, block)
            + (double) (given(part, block + 1) - given(part, block)) * (numbers % BLOCK) / BLOCK;
    BatchSource source = parts.get(part).source();
    return source.epochs(1) * given / source.sequences();
  }

  /// A sequence of a source.
  private record Place(int part, long sequence) {}

  private Place place(long number, int sequence) {
    long global = Math.addExact(Math.multiplyExact(number, sequences), sequence);
    long block = global / BLOCK;
    long at = order.window(global); // a new permutation in every block
    for (int part = 0; ; part++) {
      long before = given(part, block);
      long share = given(part, block + 1) - before;
      if (at < share) {
        return new Place(part, before + at);
      }
      at -= share;
    }
  }

  /// Sequences that a source has given in the blocks [0, blocks).
  private long given(int part, long blocks) {
    return bound(part, blocks) - bound(part - 1, blocks);
  }

  /// Sequences that the sources up to this one have given; of the last one, all sequences.
  private long bound(int part, long blocks) {
    if (part < 0) {
      return 0;
    }
    long all = Math.multiplyExact(blocks, BLOCK);
    return part == bounds.length - 1 ? all : (long) Math.floor(bounds[part] * all);
  }

  @Override
  public int sequences() {
    return sequences;
  }

  @Override
  public int length() {
    return length;
  }

  @Override
  public Batch sequences(long number, int from, int to) {
    SequenceRange.check(number, from, to, sequences);
    Batch batch = Batch.padding(to - from, length, 0);
    for (int sequence = from; sequence < to; sequence++) {
      Place place = place(number, sequence);
      BatchSource source = parts.get(place.part).source();
      int at = (int) (place.sequence % source.sequences());
      Batch one = source.sequences(place.sequence / source.sequences(), at, at + 1);
      int offset = (sequence - from) * length;
      System.arraycopy(one.inputs(), 0, batch.inputs(), offset, length);
      System.arraycopy(one.targets(), 0, batch.targets(), offset, length);
      System.arraycopy(one.starts(), 0, batch.starts(), offset, length);
    }
    return batch;
  }

  /// Targets of one epoch of every source.
  @Override
  public long targetsPerEpoch() {
    return parts.stream().mapToLong(part -> part.source().targetsPerEpoch()).sum();
  }

  /// Targets that were given, over all that there are: the mean of the sources' epochs by their
  /// size.
  @Override
  public double epochs(long batches) {
    double given = 0;
    for (int part = 0; part < parts.size(); part++) {
      given += epochs(part, batches) * parts.get(part).source().targetsPerEpoch();
    }
    return given / targetsPerEpoch();
  }

  @Override
  public String fingerprint() {
    var all = new StringBuilder("mix 1\nrows " + sequences + "\nseed " + seed);
    for (Part part : parts) {
      all.append('\n').append(part.source().fingerprint()).append(' ').append(part.weight());
    }
    return Fingerprint.of(all.toString());
  }

  @Override
  public String tokenizerFingerprint() {
    return parts.getFirst().source().tokenizerFingerprint();
  }
}
