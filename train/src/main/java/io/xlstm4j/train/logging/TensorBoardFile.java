package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// An event file that TensorBoard reads: scalars, texts and histograms.
///
/// A file is a sequence of [EventRecords], each an `Event` of tensorflow/core/util/event.proto.
///
/// A resumed run cuts older files behind `lastStep` and begins a file of its own. Its second event
/// says that a session starts at `lastStep + 1`: a TensorBoard that runs meanwhile then forgets
/// what it has read from there on. The cut is for all that read later, most of which ignore that
/// event.
public final class TensorBoardFile implements MetricsLogger {
  private static final Pattern NAME = Pattern.compile("events\\.out\\.tfevents\\.(\\d{1,18})\\..*");
  private static final int DATA_CLASS_TENSOR = 2;
  private static final int DT_STRING = 7;
  private static final int SESSION_START = 1;

  private final AppendOnlyFile file;

  private TensorBoardFile(AppendOnlyFile file) {
    this.file = file;
  }

  /// Begins a file in `folder`, which is made if it is missing.
  ///
  /// @param lastStep steps to keep of what older files in the folder hold
  /// @throws InvalidInputException if the folder cannot be read or written
  public static TensorBoardFile open(Path folder, long lastStep) {
    try {
      Files.createDirectories(folder);
      long newest = -1;
      for (Path older : entries(folder)) {
        Matcher name = NAME.matcher(String.valueOf(older.getFileName()));
        if (name.matches()) {
          EventRecords.cutAfter(older, lastStep);
          newest = Math.max(newest, Long.parseLong(name.group(1)));
        }
      }
      long time = Math.max(Instant.now().getEpochSecond(), newest + 1); // files are read by name
      Path path =
          folder.resolve(
              String.format(
                  Locale.ROOT,
                  "events.out.tfevents.%010d.%s.%d.0",
                  time,
                  host(),
                  ProcessHandle.current().pid()));
      var sink = new TensorBoardFile(AppendOnlyFile.open(path));
      sink.event(0, event -> event.text(3, "brain.Event:2"));
      if (newest >= 0) {
        sink.event(lastStep + 1, event -> event.message(7, log -> log.integer(1, SESSION_START)));
      }
      return sink;
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(folder) + ": cannot be written: " + OneLine.reason(e), e);
    }
  }

  private static List<Path> entries(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.toList();
    }
  }

  private static String host() {
    try {
      return InetAddress.getLocalHost().getHostName().replaceAll("[^A-Za-z0-9-]", "-");
    } catch (UnknownHostException e) {
      return "localhost"; // a machine without a name
    }
  }

  /// The file itself.
  public Path path() {
    return file.path();
  }

  @Override
  public void scalars(long step, Map<String, Double> values) {
    values.keySet().forEach(MetricNames::check);
    summary(
        step,
        summary ->
            values.forEach((name, number) ->
                summary.message(1, value -> value.text(1, name).float32(2, number.floatValue()))));
  }

  @Override
  public void text(long step, String name, String markdown) {
    summary(
        step,
        summary ->
            summary.message(
                1,
                value ->
                    value
                        .text(1, name)
                        .message(
                            8,
                            tensor ->
                                tensor
                                    .integer(1, DT_STRING)
                                    .message(2, shape -> shape.message(2, dim -> dim.integer(1, 1)))
                                    .text(8, markdown))
                        .message(
                            9,
                            metadata ->
                                metadata
                                    .message(1, plugin -> plugin.text(1, "text"))
                                    .integer(4, DATA_CLASS_TENSOR))));
  }

  @Override
  public void histogram(long step, String name, Histogram values) {
    if (values.count() == 0) {
      return; // the message has no way to say it
    }
    double[] counts = Arrays.stream(values.counts()).asDoubleStream().toArray();
    summary(
        step,
        summary ->
            summary.message(
                1,
                value ->
                    value
                        .text(1, name)
                        .message(
                            5,
                            histogram ->
                                histogram
                                    .float64(1, values.min())
                                    .float64(2, values.max())
                                    .float64(3, (double) values.count())
                                    .float64(4, values.sum())
                                    .float64(5, values.sumOfSquares())
                                    .float64s(6, values.limits())
                                    .float64s(7, counts))));
  }

  private void summary(long step, Consumer<ProtoBytes> values) {
    event(step, event -> event.message(5, values));
  }

  private void event(long step, Consumer<ProtoBytes> what) {
    Instant now = Instant.now();
    var event = new ProtoBytes();
    event.float64(1, now.getEpochSecond() + now.getNano() / 1e9).integer(2, step);
    what.accept(event);
    file.append(EventRecords.frame(event.toByteArray()));
  }

  @Override
  public void close() {
    file.close();
  }
}
