package io.xlstm4j.train;

import io.xlstm4j.train.logging.LossPicture;
import io.xlstm4j.train.logging.RunReading;
import io.xlstm4j.train.logging.RunReport;
import io.xlstm4j.train.run.RunFolder;

/// Draws `loss.png` and writes `report.html` from the files of a run. Where one of them cannot be
/// made, such as the picture on a machine without fonts, that is one warning.
final class PictureCallback implements Callback {
  /// Drawing may take this share of the time between two drawings.
  private static final double DRAWING_SHARE = 0.01;

  private final RunFolder folder;
  private final Warnings warnings;
  private long drawn = System.nanoTime();
  private long took;

  PictureCallback(RunFolder folder, Warnings warnings) {
    this.folder = folder;
    this.warnings = warnings;
  }

  /// Draws, unless the last time is too short ago for how long it took.
  ///
  /// @param last whether nothing more will come
  void draw(boolean last) {
    long began = System.nanoTime();
    if (!last && took >= DRAWING_SHARE * (began - drawn)) {
      return;
    }
    RunReading reading = RunReading.of(folder.path());
    attempt("report.html", () -> RunReport.write(reading, folder.report()));
    attempt(
        "loss.png",
        () ->
            LossPicture.draw(
                reading.curves(), reading.name(), reading.lossUnit(), folder.lossPicture()));
    drawn = System.nanoTime();
    took = drawn - began;
  }

  private void attempt(String name, Runnable work) {
    try {
      work.run();
    } catch (Throwable e) { // Java's drawing throws errors where a library or a font is missing
      warnings.failed(name, e);
    }
  }
}
