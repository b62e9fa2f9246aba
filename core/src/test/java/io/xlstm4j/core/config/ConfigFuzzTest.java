package io.xlstm4j.core.config;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.ModelTensors;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/// Damages good configurations at random; `-Dxlstm4j.fuzz=1000000` damages more of them. Whatever
/// comes is read, and then it holds together, or refused in one line.
class ConfigFuzzTest {
  private static final int COUNT = Integer.getInteger("xlstm4j.fuzz", 15_000) / 3;

  /// Pieces that matter to the parsers and the records.
  private static final List<String> PIECES =
      List.of(
          "{",
          "}",
          "[",
          "]",
          "\"",
          ",",
          ":",
          "\\",
          "\\ud800",
          "null",
          "true",
          "\"all\"",
          "-1",
          "0",
          "1e9",
          "1e999",
          "-0.0",
          "0.5",
          "[]",
          "{}",
          "2147483647",
          "2147483648",
          "9223372036854775807",
          "18446744073709551616",
          "1e-320",
          "NaN",
          ".inf",
          "\0",
          "\u00ff",
          "\u2028",
          "\"x\"",
          "\n",
          "  ",
          "&a ",
          "*a",
          "? ",
          "- ",
          "| ",
          "!!int ",
          "#",
          "---\n",
          "\"fused\"",
          "\"xlstm\"",
          "\"xlstm_paper\"",
          "\"hidden_size\":",
          "\"eos_token_id\":[1,2]",
          "\"num_blocks\":",
          "vocab_size: ",
          "[[[[[[[[",
          "\"mlstm_block\":null",
          "\"a\":1,");

  private static final LargeModelConfig LARGE = LargeModelConfig.of(50, 64, 2, 4);

  @Test
  void a_damaged_config_json_of_the_large_family() {
    fuzz(
        1,
        new CheckpointConfig(LARGE.withVocabulary(50, 3), "bytes").toJson(),
        text -> CheckpointConfig.parse(text, "config.json"));
  }

  @Test
  void a_damaged_config_json_of_the_paper_family() {
    var paper = PaperModelConfig.of(50, BlockStackConfig.of(3, 64, List.of(1)));
    fuzz(
        2,
        new CheckpointConfig(paper, null).toJson(),
        text -> CheckpointConfig.parse(text, "config.json"));
  }

  @Test
  void a_damaged_official_config_yaml() {
    fuzz(
        3,
        new CheckpointConfig(LARGE, null).toOfficialYaml(),
        text -> CheckpointConfig.parseOfficial(text, "config.yaml"));
  }

  private static void fuzz(int seed, String good, Function<String, CheckpointConfig> reader) {
    var random = new Random(seed);
    int refused = 0;
    for (int i = 0; i < COUNT; i++) {
      String text = mutated(random, good);
      try {
        requireSound(reader.apply(text), text);
      } catch (InvalidInputException e) {
        String message = String.valueOf(e.getMessage());
        if (message.lines().count() != 1
            || message.length() > 1_500
            || !message.startsWith("config.")) {
          throw new AssertionError("round " + i + ": " + message + "\n" + text, e);
        }
        refused++;
      } catch (RuntimeException | StackOverflowError e) {
        throw new AssertionError("round " + i + ":\n" + text, e);
      }
    }
    assertThat(refused).isBetween(COUNT / 4, COUNT - 1); // both outcomes were met
  }

  /// Checks that a configuration can be counted without overflow, written, and read again.
  private static void requireSound(CheckpointConfig config, String text) {
    if (!CheckpointConfig.parse(config.toJson(), "config.json").equals(config)) {
      throw new AssertionError("not written as it was read: " + text);
    }
    boolean small = config.model().numBlocks() <= 64; // else the list alone takes the time
    if (small
        && (ModelTensors.parameterCount(config.model()) <= 0
            || ModelTensors.stateCount(config.model()) <= 0)) {
      throw new AssertionError("sizes overflow: " + text);
    }
  }

  /// One to four random changes.
  private static String mutated(Random random, String good) {
    var text = new StringBuilder(good);
    for (int changes = 1 + random.nextInt(4); changes > 0; changes--) {
      int at = random.nextInt(text.length() + 1);
      int end = Math.min(text.length(), at + random.nextInt(12));
      switch (random.nextInt(6)) {
        case 0 -> text.replace(at, end, "");
        case 1 -> text.insert(at, PIECES.get(random.nextInt(PIECES.size())));
        case 2 -> text.replace(at, end, PIECES.get(random.nextInt(PIECES.size())));
        case 3 -> replaceValue(random, text);
        case 4 -> text.insert(at, text.substring(at / 2, at));
        default -> {
          if (at < text.length()) {
            text.setCharAt(at, (char) ('0' + random.nextInt(10)));
          }
        }
      }
    }
    return text.toString();
  }

  /// Another value behind some colon, so that many damaged files are still of the right form.
  private static void replaceValue(Random random, StringBuilder text) {
    int colon = text.indexOf(":", random.nextInt(text.length() + 1));
    if (colon < 0) {
      return;
    }
    int end = colon + 1;
    while (end < text.length() && text.charAt(end) != ',' && text.charAt(end) != '\n') {
      end++;
    }
    text.replace(colon + 1, end, " " + PIECES.get(random.nextInt(PIECES.size())));
  }
}
