package io.xlstm4j.bench;

import io.xlstm4j.core.Check;

/// What every case is measured at.
///
/// @param batch B, rows
/// @param length S, tokens in a row
/// @param dim D, width of the residual stream
/// @param heads NH
/// @param vocab V
/// @param blocks of the large model
public record Sizes(int batch, int length, int dim, int heads, int vocab, int blocks) {
  /// The sizes of the published comparison.
  public static final Sizes DEFAULT = new Sizes(8, 256, 128, 4, 256, 7);

  public Sizes {
    Check.positive("batch", batch);
    Check.positive("seq", length);
    Check.positive("dim", dim);
    Check.divides("heads", heads, "dim", dim);
    Check.positive("vocab", vocab);
    Check.positive("blocks", blocks);
  }

  /// Tokens of all rows.
  public int tokens() {
    return Math.multiplyExact(batch, length);
  }
}
