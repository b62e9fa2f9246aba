package io.xlstm4j.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;

/// What this process must say to the C library before libtorch comes.
final class ProcessSettings {
  private static final String WAIT_POLICY = "OMP_WAIT_POLICY";

  private ProcessSettings() {}

  /// Idle threads of libgomp spin by default and take the processors from the kernels' threads,
  /// which costs a training step up to half its speed. To be called before libgomp is loaded; what
  /// the user set stays. Does nothing where the C library has no `setenv`.
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
            int _ = // 0: an existing value stays
                (int)
                    setenv.invokeExact(
                        arena.allocateFrom(WAIT_POLICY), arena.allocateFrom("passive"), 0);
          } catch (Throwable e) {
            throw new AssertionError("setenv takes these arguments", e);
          }
        });
  }
}
