package io.xlstm4j.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.util.Map;

/// C library settings that must precede loading libtorch.
final class ProcessSettings {
  /// Idle threads of libgomp and of OpenBLAS spin by default, the latter for 2^26 cycles after
  /// every product; 2^4 is the least it takes.
  private static final Map<String, String> SLEEP_WHEN_IDLE =
      Map.of("OMP_WAIT_POLICY", "passive", "OPENBLAS_THREAD_TIMEOUT", "4");

  private ProcessSettings() {}

  /// Idle native threads would take the processors from the kernels' threads, which costs a
  /// training step up to half its speed. To be called before the libraries are loaded; what the
  /// user set stays. Does nothing where the C library has no `setenv`.
  static void letIdleThreadsSleep() {
    Linker linker = Linker.nativeLinker();
    linker
        .defaultLookup()
        .find("setenv")
        .map(address ->
            linker.downcallHandle(
                address, FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT)))
        .ifPresent(setenv -> {
          try (Arena arena = Arena.ofConfined()) {
            for (Map.Entry<String, String> setting : SLEEP_WHEN_IDLE.entrySet()) {
              int _ = // 0: an existing value stays
                  (int)
                      setenv.invokeExact(
                          arena.allocateFrom(setting.getKey()),
                          arena.allocateFrom(setting.getValue()),
                          0);
            }
          } catch (Throwable e) {
            throw new AssertionError("setenv takes these arguments", e);
          }
        });
  }
}
