package io.xlstm4j.train.parallel;

import io.xlstm4j.core.InvalidInputException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The address of the coordinator, and the rank of this process.
///
/// @param host of rank 0, as every rank can reach it
/// @param port that rank 0 listens at
/// @param rank of this process, in `[0, size)`
/// @param size how many ranks there are
/// @param localRank of this process among those on its machine: which GPU is its own
/// @param timeout how long the ranks wait for one of them
public record Rendezvous(
    String host, int port, int rank, int size, int localRank, Duration timeout) {
  static final String HOST = "MASTER_ADDR";
  static final String PORT = "MASTER_PORT";
  static final String RANK = "RANK";
  static final String SIZE = "WORLD_SIZE";
  static final String LOCAL_RANK = "LOCAL_RANK";
  static final String TIMEOUT = "XLSTM_RANK_TIMEOUT";

  /// Longer than a checkpoint or a validation on one rank should take.
  public static final Duration DEFAULT_TIMEOUT = Duration.ofMinutes(10);

  public Rendezvous {
    if (host.isBlank()) {
      throw new InvalidInputException(HOST + " is empty; give the name or address of rank 0");
    }
    within(PORT, port, 1, 65_535);
    within(SIZE, size, 1, 1 << 16);
    within(RANK, rank, 0, size - 1);
    within(LOCAL_RANK, localRank, 0, size - 1);
    if (timeout.compareTo(Duration.ofSeconds(1)) < 0 || timeout.compareTo(Duration.ofDays(7)) > 0) {
      throw new InvalidInputException(
          "%s %s must be from 1 second to 7 days".formatted(TIMEOUT, timeout));
    }
  }

  /// Returns whether an environment says anything of ranks, as those of torchrun and of
  /// [LocalRanks] do.
  public static boolean isIn(Map<String, String> environment) {
    return environment.containsKey(RANK) || environment.containsKey(SIZE);
  }

  /// Reads `MASTER_ADDR`, `MASTER_PORT`, `RANK`, `WORLD_SIZE`, `LOCAL_RANK` (else 0), and
  /// `XLSTM_RANK_TIMEOUT` in seconds.
  ///
  /// @throws InvalidInputException if one is missing or wrong
  public static Rendezvous of(Map<String, String> environment) {
    List<String> missing = new ArrayList<>(List.of(HOST, PORT, RANK, SIZE));
    missing.removeIf(environment::containsKey);
    if (!missing.isEmpty()) {
      throw new InvalidInputException(
          "%s: not set, though other variables of a rank are; set %s, %s, %s and %s, or none"
              .formatted(String.join(", ", missing), HOST, PORT, RANK, SIZE));
    }
    return new Rendezvous(
        environment.getOrDefault(HOST, ""),
        number(environment, PORT, 0),
        number(environment, RANK, 0),
        number(environment, SIZE, 0),
        number(environment, LOCAL_RANK, 0),
        Duration.ofSeconds(number(environment, TIMEOUT, (int) DEFAULT_TIMEOUT.toSeconds())));
  }

  /// Returns the environment variables that [#of] reads.
  public Map<String, String> environment() {
    var variables = new LinkedHashMap<String, String>();
    variables.put(HOST, host);
    variables.put(PORT, Integer.toString(port));
    variables.put(RANK, Integer.toString(rank));
    variables.put(SIZE, Integer.toString(size));
    variables.put(LOCAL_RANK, Integer.toString(localRank));
    variables.put(TIMEOUT, Long.toString(timeout.toSeconds()));
    return variables;
  }

  String address() {
    return host + ":" + port;
  }

  private static int number(Map<String, String> environment, String name, int otherwise) {
    @Nullable String value = environment.get(name);
    if (value == null) {
      return otherwise;
    }
    try {
      return Integer.parseInt(value.strip());
    } catch (NumberFormatException e) {
      throw new InvalidInputException("%s=%s is not a whole number".formatted(name, value), e);
    }
  }

  private static void within(String name, int value, int least, int most) {
    if (value < least || value > most) {
      throw new InvalidInputException(
          "%s (%d) must be from %d to %d".formatted(name, value, least, most));
    }
  }
}
