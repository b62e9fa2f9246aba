package io.xlstm4j.train.task;

import io.xlstm4j.train.config.RunConfig;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// The task that a run's configuration asks for.
public final class Tasks {
  private Tasks() {}

  /// Parameters as of [LanguageTask#open].
  public static Task open(
      RunConfig config, Path folder, @Nullable Path stored, Consumer<String> preparing) {
    return config.series() == null
        ? LanguageTask.open(config, folder, stored, preparing)
        : SequenceTask.open(config, config.series(), stored);
  }
}
