package io.xlstm4j.train;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.task.Task;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// `samples.md` of a run: what the model wrote at each validation, under a heading with the step.
final class SamplesFile {
  private static final Pattern HEADING = Pattern.compile("(?m)^## Step (\\d{1,9})$");

  private SamplesFile() {}

  static void append(Path file, int step, List<Task.Sample> samples) {
    var text = new StringBuilder("## Step " + step + "\n\n");
    for (Task.Sample sample : samples) {
      text.append("> **").append(sample.prompt()).append("**");
      text.append(sample.text().replaceAll("\\s*\\R\\s*", " ")).append("\n\n");
    }
    write(file, text.toString(), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
  }

  /// Drops what a resumed run will write again.
  static void dropAfter(Path file, int lastStep) {
    if (!Files.exists(file)) {
      return;
    }
    try {
      String text = Files.readString(file);
      Matcher heading = HEADING.matcher(text);
      while (heading.find()) {
        if (Integer.parseInt(heading.group(1)) > lastStep) {
          write(file, text.substring(0, heading.start()), StandardOpenOption.TRUNCATE_EXISTING);
          return;
        }
      }
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static void write(Path file, String text, StandardOpenOption... how) {
    try {
      Files.writeString(file, text, how);
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }
}
