package io.xlstm4j.torch;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Predicate;

/// The libraries of CUDA that libtorch for GPUs loads, and which of them this machine lacks.
public final class CudaLibraries {
  /// The libraries that the presets' natives link, the driver's own first.
  static final List<String> NEEDED =
      List.of(
          "libcuda.so.1",
          "libcudart.so.13",
          "libnvrtc.so.13",
          "libcublas.so.13",
          "libcublasLt.so.13",
          "libcudnn.so.9",
          "libcudnn_ops.so.9",
          "libcudnn_cnn.so.9",
          "libcudnn_adv.so.9",
          "libcudnn_graph.so.9",
          "libcufft.so.12",
          "libcurand.so.10",
          "libcusolver.so.12",
          "libcusparse.so.12",
          "libcupti.so.13",
          "libcufile.so.0",
          "libnccl.so.2");

  private static final Path DRIVER = Path.of("/proc/driver/nvidia/version");
  private static final String NATIVES = "/org/bytedeco/pytorch/linux-x86_64-gpu/libtorch_cuda.so";

  private CudaLibraries() {}

  /// Returns whether this machine has an NVIDIA driver.
  public static boolean hasDriver() {
    return Files.exists(DRIVER) || loads("libcuda.so.1");
  }

  /// Returns whether libtorch for GPUs is on the class path.
  public static boolean isOnClassPath() {
    return CudaLibraries.class.getResource(NATIVES) != null;
  }

  /// Returns the file names of the libraries that cannot be loaded, in a fixed order.
  public static List<String> missing() {
    return missing(CudaLibraries::isThere);
  }

  /// @param isThere whether a library of that file name can be loaded
  static List<String> missing(Predicate<String> isThere) {
    return NEEDED.stream().filter(isThere.negate()).toList();
  }

  /// By the dynamic linker, or in a jar of the CUDA presets.
  private static boolean isThere(String library) {
    return loads(library)
        || CudaLibraries.class.getResource("/org/bytedeco/cuda/linux-x86_64/" + library) != null;
  }

  /// Returns whether the dynamic linker finds a library with all that it needs.
  ///
  /// @param library a file name, or a path
  static boolean loads(String library) {
    try (Arena arena = Arena.ofConfined()) {
      return SymbolLookup.libraryLookup(library, arena) != null;
    } catch (IllegalArgumentException e) {
      return false;
    }
  }
}
