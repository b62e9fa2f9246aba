package io.xlstm4j.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/// The stream on which libtorch gives its work to a GPU. It is asked by a C function of libtorch:
/// the presets' own class for streams needs artifacts of CUDA at compile time.
final class CurrentStream {
  private static final String LIBRARY = "libtorch_cuda.so"; // loaded before, found by its name
  private static final String FUNCTION = "aoti_torch_get_current_cuda_stream";

  private final MethodHandle function;

  /// @throws IllegalStateException if this libtorch has no such function
  CurrentStream() {
    try {
      MemorySegment symbol =
          SymbolLookup.libraryLookup(LIBRARY, Arena.global()).find(FUNCTION).orElseThrow();
      function =
          Linker.nativeLinker()
              .downcallHandle(symbol, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
    } catch (RuntimeException e) {
      throw new IllegalStateException("this libtorch has no " + FUNCTION + ": " + e, e);
    }
  }

  /// Returns the calling thread's current stream; 0 is the default stream.
  ///
  /// @param device number of the GPU
  /// @throws IllegalStateException if libtorch refuses
  long address(int device) {
    try (var arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      int error = (int) function.invokeExact(device, out);
      if (error != 0) {
        throw new IllegalStateException(FUNCTION + " of libtorch gave error " + error);
      }
      return out.get(ADDRESS, 0).address();
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError("a downcall throws nothing checked", e);
    }
  }
}
