package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/// The sources of all modules: numbers are written and letters changed without asking the locale of
/// the machine.
class LocaleTest {
  /// `"…".formatted(`, where the text has a number with a fraction, grouping or leading zeros.
  private static final Pattern FORMATTED =
      Pattern.compile(
          "((?:\"(?:[^\"\\\\\\n]|\\\\.)*\"[\\s+]*)+)\\)?\\s*\\.formatted\\(", Pattern.MULTILINE);

  private static final Pattern DEPENDS_ON_LOCALE =
      Pattern.compile("%[-#+ (]*[0,]?\\d*(,|\\.\\d+)?[eEfgGaA]|%[-+ (]*[,0]\\d*d");

  private static final Pattern WITHOUT_LOCALE =
      Pattern.compile(
          "(String\\.format|\\.printf)\\(\\s*\"|\\.to(Lower|Upper)Case\\(\\)|new (DecimalFormat|Formatter|Scanner)\\(");

  @Test
  void no_source_formats_numbers_in_the_locale_of_the_machine() throws IOException {
    var offences = new ArrayList<String>();
    for (Path file : sources()) {
      String source = Files.readString(file);
      var formatted = FORMATTED.matcher(source);
      while (formatted.find()) {
        if (DEPENDS_ON_LOCALE.matcher(formatted.group(1)).find()) {
          offences.add(file.getFileName() + ": " + formatted.group(1).strip());
        }
      }
      var plain = WITHOUT_LOCALE.matcher(source);
      while (plain.find()) {
        offences.add(file.getFileName() + ": " + plain.group());
      }
    }
    assertThat(offences).as("give Locale.ROOT").isEmpty();
  }

  private static List<Path> sources() throws IOException {
    Path root = Path.of(System.getProperty("user.dir")).resolve("..").normalize();
    var sources = new ArrayList<Path>();
    try (Stream<Path> modules = Files.list(root)) {
      for (Path module : modules.sorted().toList()) {
        Path main = module.resolve("src/main/java");
        if (Files.isDirectory(main)) {
          try (Stream<Path> files = Files.walk(main)) {
            files.filter(file -> file.toString().endsWith(".java")).forEach(sources::add);
          }
        }
      }
    }
    assertThat(sources).hasSizeGreaterThan(200); // else it looked in the wrong place
    return sources;
  }
}
