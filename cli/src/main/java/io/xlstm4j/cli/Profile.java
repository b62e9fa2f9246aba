package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.StepTimes;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.text.ParseException;
import java.util.Locale;
import jdk.jfr.Configuration;
import jdk.jfr.Recording;

/// Records a run with Java's flight recorder, and says where the time of its steps went.
final class Profile {
  private static final String FILE_NAME = "profile.jfr";

  private final Recording recording;

  private Profile(Recording recording) {
    this.recording = recording;
  }

  static Profile begin() {
    try {
      var recording = new Recording(Configuration.getConfiguration("profile"));
      recording.start();
      return new Profile(recording);
    } catch (IOException | ParseException e) {
      throw new InvalidInputException("--profile: this Java has no profile: " + e.getMessage(), e);
    }
  }

  void end(Path folder, StepTimes.Summary times, PrintWriter out) {
    Path file = folder.resolve(FILE_NAME);
    try {
      recording.dump(file);
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be written: " + OneLine.reason(e), e);
    } finally {
      recording.close();
    }
    double whole =
        times.data()
            + times.forward()
            + times.backward()
            + times.reduce()
            + times.optimizer()
            + times.around();
    out.printf(Locale.ROOT, "%d steps, mean of each:%n", times.steps());
    row(out, "reading the batch", times.data(), whole, times.steps());
    row(out, "forward", times.forward(), whole, times.steps());
    row(out, "backward", times.backward(), whole, times.steps());
    row(out, "other processes", times.reduce(), whole, times.steps());
    row(out, "clip and move", times.optimizer(), whole, times.steps());
    row(out, "metrics and states", times.around(), whole, times.steps());
    out.printf(Locale.ROOT, "validations took %.1f s in all%n", times.validation());
    out.printf(Locale.ROOT, "open %s with JDK Mission Control, or: jfr summary %s%n", file, file);
    out.flush();
  }

  private static void row(PrintWriter out, String name, double seconds, double whole, int steps) {
    out.printf(
        Locale.ROOT,
        "  %-20s%9.2f ms%7.1f %%%n",
        name,
        1e3 * seconds / Math.max(1, steps),
        100 * seconds / whole);
  }
}
