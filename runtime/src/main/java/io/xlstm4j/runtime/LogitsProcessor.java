package io.xlstm4j.runtime;

import java.nio.IntBuffer;

/// Changes logits before a token is chosen, for example to forbid some.
@FunctionalInterface
public interface LogitsProcessor {
  /// @param logits natural-log scores of the next token, to be changed in place; minus infinity
  ///   forbids an id. A copy: the sequence keeps its own.
  /// @param history prompt and tokens so far, from position to limit; its position is never changed
  void process(float[] logits, IntBuffer history);
}
