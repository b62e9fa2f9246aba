package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Where a model is written that was made of another. A checkpoint there is replaced as a whole, so
/// nothing else may be there.
final class OutputFolder {
  /// What only a run has, or its last state.
  private static final List<String> OF_A_RUN =
      List.of("run.yaml", "training", "state.json", ".lock");

  private OutputFolder() {}

  /// Checks that writing deletes neither the source nor a run.
  ///
  /// @throws InvalidInputException if it would
  static void require(Path from, Path to) {
    String where = OneLine.of(to);
    for (String name : OF_A_RUN) {
      if (Files.exists(to.resolve(name))) {
        throw new InvalidInputException(
            "%s: is the folder of a run or of its state (it has %s), which would be deleted; choose another folder"
                .formatted(where, name));
      }
    }
    try {
      Path source = from.toRealPath();
      Path target = real(to.toAbsolutePath().normalize());
      if (source.equals(target)) {
        throw new InvalidInputException(where + ": input and output are the same folder");
      }
      if (source.startsWith(target) || target.startsWith(source)) {
        throw new InvalidInputException(
            "%s: one of input (%s) and output lies within the other; choose a folder beside it"
                .formatted(where, OneLine.of(from)));
      }
    } catch (IOException e) {
      throw new InvalidInputException(where + ": " + OneLine.reason(e), e);
    }
  }

  /// The path without links, as far as it exists.
  private static Path real(Path path) throws IOException {
    if (Files.exists(path)) {
      return path.toRealPath();
    }
    @Nullable Path parent = path.getParent();
    @Nullable Path name = path.getFileName();
    return parent == null || name == null ? path : real(parent).resolve(name);
  }
}
