package io.xlstm4j.bench;

import io.xlstm4j.core.Check;

/// The sizes at which every case is measured.
///
/// @param batch B, sequences
/// @param length S, tokens in a sequence
/// @param dim D, width of the residual stream
/// @param heads NH
/// @param vocab V
/// @param blocks of the deep model that is trained
/// @param served the model that prefill, decode and startup run; B, S and NH hold for it too
public record Sizes(
    int batch, int length, int dim, int heads, int vocab, int blocks, Served served) {
  /// The sizes of the published comparison.
  public static final Sizes DEFAULT = new Sizes(8, 256, 128, 4, 256, 7, new Served(512, 8, 50_304));

  /// A model of the Large family.
  ///
  /// @param dim width of its residual stream
  /// @param blocks how many
  /// @param vocab its vocabulary
  public record Served(int dim, int blocks, int vocab) {
    /// The models that are compared, named by their parameters with a vocabulary of 50,304.
    ///
    /// @throws IllegalArgumentException if there is none of that name
    public static Served named(String size, int vocab) {
      return switch (size) {
        case "77m" -> new Served(512, 8, vocab);
        case "247m" -> new Served(768, 24, vocab);
        default -> throw new IllegalArgumentException("size (" + size + ") must be 77m or 247m");
      };
    }

    public Served {
      Check.positive("large-dim", dim);
      Check.positive("large-blocks", blocks);
      Check.positive("large-vocab", vocab);
    }
  }

  public Sizes {
    Check.positive("batch", batch);
    Check.positive("seq", length);
    Check.positive("dim", dim);
    Check.divides("heads", heads, "dim", dim);
    Check.positive("vocab", vocab);
    Check.positive("blocks", blocks);
  }

  /// Tokens of all sequences.
  public int tokens() {
    return Math.multiplyExact(batch, length);
  }
}
