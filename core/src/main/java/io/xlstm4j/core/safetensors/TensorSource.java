package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/// Named tensors that can be read, from one file or several. Safe for use by many threads; nothing
/// may be read after [#close()].
public interface TensorSource extends AutoCloseable {
  /// The name that a checkpoint of one file has.
  String SINGLE_FILE = "model.safetensors";

  /// The name of the index of a checkpoint in shards.
  String INDEX_FILE = "model.safetensors.index.json";

  /// Opens the weights of a checkpoint folder: the shards if there is an index, else the one file,
  /// else the shards `model_0.safetensors`, `model_1.safetensors` and so on, without an index.
  ///
  /// @throws InvalidInputException if there is neither, or the files break a rule of the format
  static TensorSource openFolder(Path folder) {
    if (Files.exists(folder.resolve(INDEX_FILE))) {
      return ShardedSafetensors.open(folder.resolve(INDEX_FILE));
    }
    if (Files.exists(folder.resolve(SINGLE_FILE))) {
      return SafetensorsFile.open(folder.resolve(SINGLE_FILE));
    }
    if (ShardedSafetensors.isNumbered(folder)) {
      return ShardedSafetensors.openNumbered(folder);
    }
    throw new InvalidInputException(
        Files.isDirectory(folder)
            ? "%s: has neither %s nor %s".formatted(OneLine.of(folder), SINGLE_FILE, INDEX_FILE)
            : OneLine.of(folder) + ": no such folder");
  }

  /// All tensors by name, in the order of their data; shards in the order of their names.
  Map<String, TensorInfo> tensors();

  /// The free-form strings of the header, empty if it has none.
  Map<String, String> metadata();

  /// The bytes of one tensor as they are on disk, little-endian, read-only, mapped, not copied. The
  /// start need not be aligned: read through an `_UNALIGNED` layout. If another process cuts the
  /// file short meanwhile, an access throws [InternalError].
  ///
  /// @throws InvalidInputException if there is no such tensor
  /// @throws IllegalStateException after [#close()]; so do accesses to segments given out before
  MemorySegment data(String name);

  /// A copy of one floating-point tensor, row-major. Doubles are rounded to the nearest float.
  ///
  /// @throws InvalidInputException if there is no such tensor, its elements are integers, or it has
  ///   more elements than an array can hold
  /// @throws IllegalStateException after [#close()]
  float[] floats(String name);

  /// A copy of one floating-point tensor, row-major, exact.
  ///
  /// @throws InvalidInputException as [#floats]
  /// @throws IllegalStateException after [#close()]
  double[] doubles(String name);

  /// A copy of one integer tensor, row-major; [DType#U8] is unsigned.
  ///
  /// @throws InvalidInputException if there is no such tensor, its elements are not integers, or it
  ///   has more elements than an array can hold
  /// @throws IllegalStateException after [#close()]
  long[] longs(String name);

  /// Returns the description of one tensor.
  ///
  /// @throws InvalidInputException if there is no such tensor
  TensorInfo info(String name);

  /// Returns whether two tensors are stored in the same type and bytes.
  ///
  /// @throws InvalidInputException if there is no such tensor
  default boolean hasSameData(String name, String other) {
    return info(name).dtype() == info(other).dtype() && data(name).mismatch(data(other)) < 0;
  }

  /// Gives the memory back and invalidates every segment. A second call does nothing.
  @Override
  void close();
}
