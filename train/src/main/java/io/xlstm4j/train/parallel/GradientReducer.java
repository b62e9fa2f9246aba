package io.xlstm4j.train.parallel;

/// Makes the gradients of a model the sum over all ranks, the same bits on each.
public interface GradientReducer extends AutoCloseable {
  /// Announces the last backward pass of a step: gradients may be sent while it runs. Optional;
  /// without it everything is sent by [#finish].
  void begin();

  /// Waits until every gradient is the sum. A parameter that had none on any rank has none still.
  ///
  /// @throws RankFailedException if a rank failed
  void finish();

  /// Stops listening to the model and frees the buffers.
  @Override
  void close();
}
