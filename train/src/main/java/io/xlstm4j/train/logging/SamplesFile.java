package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// `samples.md`: the texts of a run under a heading for each step, and one for each name.
///
/// A line of a text that looks like such a heading gets a backslash in front.
public final class SamplesFile implements MetricsLogger {
  private static final String STEP = "## Step ";
  private static final String NAME = "### ";
  private static final Pattern HEADING = Pattern.compile("(?m)^## Step (\\d{1,18})$");
  private static final Pattern LIKE_HEADING = Pattern.compile("(?m)^(\\\\*(?:## Step |### ))");
  private static final Pattern ESCAPED = Pattern.compile("(?m)^\\\\(\\\\*(?:## Step |### ))");

  private final AppendOnlyFile file;
  private final String head;
  private long lastStep;

  private SamplesFile(AppendOnlyFile file, String head, long lastStep) {
    this.file = file;
    this.head = head;
    this.lastStep = lastStep;
  }

  /// One text.
  ///
  /// @param name as it was given; empty in files that have no names
  public record Sample(long step, String name, String markdown) {}

  /// A new file, or what is left of an old one after dropping all steps past `lastStep`.
  ///
  /// @throws InvalidInputException if it cannot be read or written
  public static SamplesFile open(Path path, long lastStep) {
    return open(path, "", lastStep);
  }

  /// The same with a line above the first text of a new file.
  ///
  /// @param about which model wrote, and how its words were chosen
  public static SamplesFile open(Path path, String about, long lastStep) {
    long last = -1;
    try {
      if (Files.exists(path)) {
        // one char a byte, so that places in the text are places in the file
        Matcher heading = HEADING.matcher(Files.readString(path, StandardCharsets.ISO_8859_1));
        while (heading.find()) {
          long step = Long.parseLong(heading.group(1));
          if (step > lastStep) {
            try (var channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
              channel.truncate(heading.start());
            }
            break;
          }
          last = step;
        }
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(path) + ": cannot be read: " + OneLine.reason(e), e);
    }
    String head = about.isEmpty() ? "" : "# Samples\n\n" + OneLine.of(about) + "\n\n";
    return new SamplesFile(AppendOnlyFile.open(path), head, last);
  }

  /// Returns a generated text after its prompt, as Markdown of one paragraph.
  public static String markdown(String prompt, String text) {
    return "**" + prompt + "**" + text.replaceAll("\\s*\\R\\s*", " ");
  }

  /// All texts of a file, in its order.
  ///
  /// @throws InvalidInputException if it cannot be read
  public static List<Sample> read(Path path) {
    var samples = new ArrayList<Sample>();
    var text = new StringBuilder();
    var step = new long[] {-1};
    var name = new String[] {""};
    Runnable finish =
        () -> {
          if (step[0] >= 0 && !text.toString().isBlank()) {
            String markdown = ESCAPED.matcher(text.toString().strip()).replaceAll("$1");
            samples.add(new Sample(step[0], name[0], markdown));
          }
          text.setLength(0);
        };
    StepLines.visit(
        path,
        (line, _) -> {
          Matcher heading = HEADING.matcher(line);
          if (heading.matches()) {
            finish.run();
            step[0] = Long.parseLong(heading.group(1));
            name[0] = "";
          } else if (line.startsWith(NAME)) {
            finish.run();
            name[0] = line.substring(NAME.length());
          } else {
            text.append(line).append('\n');
          }
        });
    finish.run();
    return samples;
  }

  /// Numbers go elsewhere.
  @Override
  public void scalars(long step, Map<String, Double> values) {}

  @Override
  public void text(long step, String name, String markdown) {
    String body = LIKE_HEADING.matcher(markdown.strip()).replaceAll("\\\\$1");
    String heading = step == lastStep ? "" : STEP + step + "\n\n";
    String block =
        (file.isEmpty() ? head : "") + heading + NAME + OneLine.of(name) + "\n\n" + body + "\n\n";
    file.append(block.getBytes(StandardCharsets.UTF_8));
    lastStep = step;
  }

  @Override
  public void close() {
    file.close();
  }
}
