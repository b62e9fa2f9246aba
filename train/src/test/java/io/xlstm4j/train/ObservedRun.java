package io.xlstm4j.train;

import java.io.IOException;
import java.nio.file.Path;

/// The process that [ObserversTest] starts with a Java that cannot draw: trains a run and prints
/// each warning.
public final class ObservedRun {
  private ObservedRun() {}

  public static void main(String[] arguments) throws IOException {
    var printing =
        new Callback() {
          @Override
          public void onWarning(String warning) {
            System.out.println("warning: " + warning);
          }
        };
    var config = TinyRun.config(Path.of(arguments[0]));
    try (var trainer = Trainer.start(config, Path.of(arguments[1]), printing)) {
      System.out.println("steps: " + trainer.run(() -> false).steps());
    }
  }
}
