package io.xlstm4j.cli;

import java.io.Console;
import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Properties of the terminal that the program runs in.
final class Terminal {
  private static final int USUAL_WIDTH = 80;
  private static final int NARROWEST = 20; // less is a terminal that does not know
  private static final int STDOUT = 1;

  private Terminal() {}

  /// Returns the stream of standard error.
  static OutputStream errors() {
    return System.err;
  }

  /// Returns whether somebody is watching; false under a pipe, a file or a test.
  static boolean isInteractive() {
    Console console = System.console();
    return console != null && console.isTerminal();
  }

  /// Columns of the terminal at this moment; 80 where the system does not tell. Costs a system
  /// call.
  static int width() {
    int width = Size.ask();
    return width >= NARROWEST ? width : USUAL_WIDTH;
  }

  /// Asks with `ioctl(1, TIOCGWINSZ, size)`: Java tells nothing of a terminal's size.
  private static final class Size {
    private static final String SYSTEM = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
    private static final long TIOCGWINSZ = SYSTEM.startsWith("mac") ? 0x40087468L : 0x5413L;
    private static final int COLUMNS = 1; // struct winsize: rows, columns, two more, each a short
    private static final @Nullable MethodHandle IOCTL = ioctl();

    private static @Nullable MethodHandle ioctl() {
      if (!SYSTEM.startsWith("linux") && !SYSTEM.startsWith("mac")) {
        return null;
      }
      Linker linker = Linker.nativeLinker();
      return linker
          .defaultLookup()
          .find("ioctl")
          .map(function ->
              linker.downcallHandle(
                  function,
                  FunctionDescriptor.of(
                      ValueLayout.JAVA_INT,
                      ValueLayout.JAVA_INT,
                      ValueLayout.JAVA_LONG,
                      ValueLayout.ADDRESS),
                  Linker.Option.firstVariadicArg(2)))
          .orElse(null);
    }

    /// Columns, 0 if unknown.
    static int ask() {
      MethodHandle ioctl = IOCTL;
      if (ioctl == null) {
        return 0;
      }
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment size = arena.allocate(ValueLayout.JAVA_SHORT, 4);
        int result = (int) ioctl.invokeExact(STDOUT, TIOCGWINSZ, size);
        return result == 0
            ? Short.toUnsignedInt(size.getAtIndex(ValueLayout.JAVA_SHORT, COLUMNS))
            : 0;
      } catch (Throwable e) {
        throw new AssertionError("a system call of plain numbers throws nothing", e);
      }
    }
  }
}
