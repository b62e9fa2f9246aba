package io.xlstm4j.cli;

import io.xlstm4j.runtime.RuntimeModel;
import io.xlstm4j.text.Tokenizers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// Loads what `generate` will need on idle processors while the arguments are parsed. It only saves
/// time: what goes wrong here goes wrong again, and is reported, where it is needed.
final class Preparation {
  private Preparation() {}

  static void begin(String[] arguments) {
    @Nullable Path folder = folder(arguments);
    if (folder != null) {
      start(() -> RuntimeModel.open(folder).close());
      start(() -> openTokenizer(folder));
    }
  }

  /// The folder of `generate --model`, as far as a glance tells.
  private static @Nullable Path folder(String[] arguments) {
    int at = Arrays.asList(arguments).indexOf("--model");
    return arguments.length > 0
            && arguments[0].equals("generate")
            && at > 0
            && at + 1 < arguments.length
        ? Path.of(arguments[at + 1])
        : null;
  }

  @SuppressWarnings("CatchAndPrintStackTrace") // nothing is printed either
  private static void start(Runnable work) {
    Thread.ofPlatform()
        .daemon()
        .start(() -> {
          try {
            work.run();
          } catch (RuntimeException | LinkageError e) {
            return; // reported where it is needed
          }
        });
  }

  private static void openTokenizer(Path folder) {
    if (Files.exists(folder.resolve(Tokenizers.FILE_NAME))) {
      Tokenizers.open(folder, null).close();
    }
  }
}
