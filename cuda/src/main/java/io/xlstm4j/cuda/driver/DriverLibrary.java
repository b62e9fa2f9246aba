package io.xlstm4j.cuda.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/// The functions of `libcuda`, by name.
///
/// [#call] looks at the kinds of its arguments and takes some microseconds, which is right for what
/// happens once. The three functions that happen at every kernel have handles of their own.
final class DriverLibrary {
  /// Names under which systems know the driver's library.
  private static final List<String> NAMES = List.of("libcuda.so.1", "libcuda.so", "nvcuda.dll");

  private static @Nullable DriverLibrary loaded;

  private final SymbolLookup symbols;
  private final Map<String, MethodHandle> handles = new ConcurrentHashMap<>();
  private final MethodHandle setCurrent;
  private final MethodHandle launch;
  private final MethodHandle launchGraph;

  private DriverLibrary(SymbolLookup symbols) {
    this.symbols = symbols;
    setCurrent = handle("cuCtxSetCurrent", ADDRESS);
    launch = handle("cuLaunchKernelEx", ADDRESS, ADDRESS, ADDRESS, ADDRESS);
    launchGraph = handle("cuGraphLaunch", ADDRESS, ADDRESS);
  }

  /// Loads and initialises the driver, once.
  ///
  /// @throws UnavailableException with the reason, if there is no driver or it has no device
  static synchronized DriverLibrary get() throws UnavailableException {
    if (loaded == null) {
      loaded = load(NAMES);
    }
    return loaded;
  }

  /// Loads the first library that is there.
  static DriverLibrary load(List<String> names) throws UnavailableException {
    for (String name : names) {
      SymbolLookup symbols;
      try {
        symbols = SymbolLookup.libraryLookup(name, Arena.global());
      } catch (IllegalArgumentException e) {
        continue; // not on this system
      }
      DriverLibrary library;
      try {
        library = new DriverLibrary(symbols);
      } catch (IllegalStateException e) {
        throw new UnavailableException("NVIDIA's driver is too old: " + e.getMessage());
      }
      try {
        library.call("cuInit", 0);
      } catch (CudaException e) {
        throw new UnavailableException("NVIDIA's driver does not start: " + e.getMessage());
      }
      return library;
    }
    throw new UnavailableException(
        "NVIDIA's driver is not installed: none of %s is found"
            .formatted(String.join(", ", names)));
  }

  private MethodHandle handle(String name, MemoryLayout... arguments) {
    MemorySegment function =
        symbols
            .find(name)
            .orElseThrow(() -> new IllegalStateException("it has no function " + name));
    return Linker.nativeLinker()
        .downcallHandle(function, FunctionDescriptor.of(JAVA_INT, arguments));
  }

  /// Calls a function with arguments of the kinds Integer, Long and MemorySegment.
  ///
  /// @throws CudaException if it gives an error
  void call(String name, Object... arguments) {
    check(name, code(name, arguments));
  }

  private int code(String name, Object... arguments) {
    MethodHandle handle =
        handles.computeIfAbsent(
            name,
            key -> {
              var layouts = new MemoryLayout[arguments.length];
              for (int i = 0; i < layouts.length; i++) {
                layouts[i] =
                    switch (arguments[i]) {
                      case Integer _ -> JAVA_INT;
                      case Long _ -> JAVA_LONG;
                      case MemorySegment _ -> ADDRESS;
                      default -> throw new IllegalArgumentException(key + ": argument " + i);
                    };
              }
              return handle(key, layouts);
            });
    try {
      return (int) handle.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new IllegalStateException(name, e);
    }
  }

  void setCurrent(MemorySegment context) {
    int code;
    try {
      code = (int) setCurrent.invokeExact(context);
    } catch (Throwable e) {
      throw new IllegalStateException("cuCtxSetCurrent", e);
    }
    check("cuCtxSetCurrent", code);
  }

  void launch(
      String kernel, MemorySegment config, MemorySegment function, MemorySegment arguments) {
    int code;
    try {
      code = (int) launch.invokeExact(config, function, arguments, MemorySegment.NULL);
    } catch (Throwable e) {
      throw new IllegalStateException("cuLaunchKernelEx", e);
    }
    if (code != 0) {
      throw error("cuLaunchKernelEx of " + kernel, code);
    }
  }

  void launchGraph(MemorySegment graph, MemorySegment stream) {
    int code;
    try {
      code = (int) launchGraph.invokeExact(graph, stream);
    } catch (Throwable e) {
      throw new IllegalStateException("cuGraphLaunch", e);
    }
    check("cuGraphLaunch", code);
  }

  /// Describes a tensor to the copy engine, of chips and drivers that have one.
  void encodeTensorMap(
      MemorySegment to,
      int type,
      int rank,
      MemorySegment data,
      MemorySegment sizes,
      MemorySegment strides,
      MemorySegment box,
      MemorySegment steps,
      int swizzle,
      int promotion) {
    MethodHandle handle =
        handles.computeIfAbsent(
            "cuTensorMapEncodeTiled",
            key ->
                handle(
                    key, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
                    JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT));
    int code;
    try {
      code =
          (int)
              handle.invokeExact(
                  to, type, rank, data, sizes, strides, box, steps, 0, swizzle, promotion, 0);
    } catch (Throwable e) {
      throw new IllegalStateException("cuTensorMapEncodeTiled", e);
    }
    check("cuTensorMapEncodeTiled", code);
  }

  private void check(String call, int code) {
    if (code != 0) {
      throw error(call, code);
    }
  }

  private CudaException error(String call, int code) {
    return new CudaException(
        call,
        code,
        text("cuGetErrorName", code, "an unknown error"),
        text("cuGetErrorString", code, "no description"));
  }

  private String text(String function, int code, String otherwise) {
    try (var arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(ADDRESS);
      if (code(function, code, pointer) != 0) {
        return otherwise;
      }
      return pointer.get(ADDRESS, 0).reinterpret(1024).getString(0);
    }
  }

  /// Why there is no driver to call.
  static final class UnavailableException extends Exception {
    private static final long serialVersionUID = 1;

    UnavailableException(String reason) {
      super(reason);
    }

    String reason() {
      return String.valueOf(getMessage());
    }
  }
}
