package io.xlstm4j.train.parallel;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.torch.Parameters;
import java.util.Map;

/// The processes that train one model together, each a rank.
///
/// All ranks call the methods that speak of all ranks in the same order, each from one thread. They
/// throw [RankFailedException], with the same line on every rank, as soon as one rank fails, ends
/// or keeps the others waiting for too long.
public interface ProcessGroup extends AutoCloseable {
  /// The world that the environment speaks of: a process alone if of none.
  ///
  /// @throws InvalidInputException if a variable is wrong, or the ranks do not find each other
  static ProcessGroup of(Map<String, String> environment) {
    return Rendezvous.isIn(environment) ? join(Rendezvous.of(environment)) : new SingleProcess();
  }

  /// Meets the other ranks.
  ///
  /// @throws InvalidInputException if they do not find each other within the timeout
  static ProcessGroup join(Rendezvous rendezvous) {
    return rendezvous.size() == 1 ? new SingleProcess() : SocketProcessGroup.join(rendezvous);
  }

  /// Returns the rank of this process, in `[0, size())`.
  int rank();

  /// Returns the rank of this process among those of its machine: the index of its GPU.
  int localRank();

  /// Returns the number of ranks.
  int size();

  /// Returns whether this rank is the one that writes and prints.
  default boolean isFirst() {
    return rank() == 0;
  }

  /// The sequences of a batch that this rank computes.
  ///
  /// @throws InvalidInputException if there are fewer sequences than ranks
  default Shard share(int rows) {
    return Shard.of(rows, rank(), size());
  }

  /// Sums over all ranks in the order of the ranks, so the same bits on each.
  ///
  /// @param values as many on each rank
  double[] sums(double... values);

  /// The sum over all ranks.
  default double sum(double value) {
    return sums(value)[0];
  }

  /// Returns whether any rank says yes.
  boolean any(boolean value);

  /// Returns the value of rank 0.
  ///
  /// @param bytes read on rank 0 alone; fewer than 64 MiB
  byte[] broadcast(byte[] bytes);

  /// Returns the value of rank 0.
  long broadcast(long value);

  /// Waits for all ranks.
  void barrier();

  /// Makes sure that all ranks know the same facts, such as fingerprints of configuration and data.
  ///
  /// @param facts values by name; short
  /// @throws RankFailedException on every rank if one differs, naming the fact, values and ranks
  void agree(Map<String, String> facts);

  /// Creates the reducer that sums the gradients of a model over all ranks. All ranks must call it.
  GradientReducer reducer(Parameters parameters);

  /// Tells the other ranks that this one cannot go on; they end with that cause.
  ///
  /// @param cause one line
  void fail(String cause);

  /// Waits until every rank has come here, or is known to be gone. To be called once, and on every
  /// path: after a failure it lets the others hear of it.
  @Override
  void close();
}
