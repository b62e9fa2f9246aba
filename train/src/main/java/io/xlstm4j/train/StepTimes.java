package io.xlstm4j.train;

/// The time of a run's steps by part, in nanoseconds, added up.
public final class StepTimes {
  private long data;
  private long forward;
  private long backward;
  private long reduce;
  private long optimizer;
  private long around;
  private long validation;
  private int steps;

  void data(long nanos) {
    data += nanos;
    steps++;
  }

  void forward(long nanos) {
    forward += nanos;
  }

  void backward(long nanos) {
    backward += nanos;
  }

  void reduce(long nanos) {
    reduce += nanos;
  }

  void optimizer(long nanos) {
    optimizer += nanos;
  }

  void around(long nanos) {
    around += nanos;
  }

  void validation(long nanos) {
    validation += nanos;
  }

  /// Returns the times measured so far.
  ///
  /// @param steps how many
  /// @param data seconds to read batches
  /// @param forward seconds up to the loss
  /// @param backward seconds for the gradients
  /// @param reduce seconds waiting for the gradients of other processes
  /// @param optimizer seconds to clip and move
  /// @param around seconds in callbacks: metrics, states, reports
  /// @param validation seconds in validations, samples included
  public record Summary(
      int steps,
      double data,
      double forward,
      double backward,
      double reduce,
      double optimizer,
      double around,
      double validation) {}

  public Summary summary() {
    return new Summary(
        steps,
        data / 1e9,
        forward / 1e9,
        backward / 1e9,
        reduce / 1e9,
        optimizer / 1e9,
        around / 1e9,
        validation / 1e9);
  }
}
