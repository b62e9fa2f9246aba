package io.xlstm4j.cli;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// Handles signals of the system in place of Java, which would end the program at the first one and
/// not react to a second.
///
/// Through `sun.misc.Signal` of the module `jdk.unsupported`, by reflection: the compiler warns of
/// its use and cannot be kept from it. Where it is missing, signals do what they always do.
final class Signals implements AutoCloseable {
  static final int HANGUP = 1;
  static final int INTERRUPT = 2;
  static final int TERMINATE = 15;

  private final List<Runnable> restores = new ArrayList<>();

  private Signals() {}

  /// Calls `handler` with the number of each signal that comes, on a thread of its own. Signals
  /// that are ignored, as under `nohup`, stay so.
  static Signals handle(IntConsumer handler) {
    var signals = new Signals();
    signals.install("INT", INTERRUPT, handler);
    signals.install("TERM", TERMINATE, handler);
    signals.install("HUP", HANGUP, handler);
    return signals;
  }

  private void install(String name, int number, IntConsumer handler) {
    try {
      Class<?> signals = Class.forName("sun.misc.Signal");
      Class<?> handlers = Class.forName("sun.misc.SignalHandler");
      Method handle = signals.getMethod("handle", signals, handlers);
      Object signal = signals.getConstructor(String.class).newInstance(name);
      Object before = handle.invoke(null, signal, proxy(handlers, number, handler));
      if (before == null || before.equals(handlers.getField("SIG_IGN").get(null))) {
        handle.invoke(null, signal, handlers.getField("SIG_IGN").get(null));
        return;
      }
      restores.add(() -> {
        try {
          handle.invoke(null, signal, before);
        } catch (ReflectiveOperationException e) {
          throw new LinkageError("what was handled once can be handled again", e);
        }
      });
    } catch (ReflectiveOperationException | IllegalArgumentException e) {
      return; // a system without this signal, or a Java that keeps it for itself
    }
  }

  private static Object proxy(Class<?> handlers, int number, IntConsumer handler) {
    InvocationHandler calls =
        new InvocationHandler() {
          @Override
          @SuppressWarnings("ReferenceEquality") // equals of a proxy is this very method
          public @Nullable Object invoke(
              Object proxy, Method method, Object @Nullable [] arguments) {
            return switch (method.getName()) {
              case "handle" -> {
                handler.accept(number);
                yield null;
              }
              case "hashCode" -> System.identityHashCode(proxy);
              case "equals" -> arguments != null && proxy == arguments[0];
              default -> "xlstm handler of signal " + number;
            };
          }
        };
    return Proxy.newProxyInstance(Signals.class.getClassLoader(), new Class<?>[] {handlers}, calls);
  }

  /// Puts back what was there before.
  @Override
  public void close() {
    restores.forEach(Runnable::run);
  }
}
