package io.xlstm4j.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The memory that a dry run announces, and what a process then takes.
@DisabledOnOs({OS.WINDOWS, OS.MAC}) // /proc has what a process took
class DryRunMemoryTest {
  @TempDir private Path folder;

  /// Runs the program and prints the most memory that it took, in KiB.
  static final class Program {
    private Program() {}

    public static void main(String[] arguments) throws IOException {
      int code = Main.commandLine(arguments).execute(arguments);
      System.out.println(Files.readString(Path.of("/proc/self/status")));
      System.exit(code);
    }
  }

  private List<String> command(String keys) throws IOException {
    Path text = folder.resolve("text.txt");
    Files.writeString(text, "one two three four five\n\n".repeat(4000));
    var command =
        new ArrayList<>(
            List.of(
                "train",
                "--data",
                text.toString(),
                "--out",
                folder.resolve("run").toString(),
                "--steps",
                "3",
                "data.tokenizer=bytes",
                "samples.prompts=[]",
                "validation.tokens=4000"));
    command.addAll(Arrays.asList(keys.split(" ", -1)));
    return command;
  }

  private static double find(String text, String pattern) {
    Matcher matcher = Pattern.compile(pattern).matcher(text);
    assertThat(matcher.find()).as(text).isTrue();
    return Double.parseDouble(matcher.group(1).replace(",", ""));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "model.num_blocks=1 model.embedding_dim=32 model.context_length=64 training.batch_size=4",
        "model.num_blocks=4 model.embedding_dim=128 model.context_length=256 training.batch_size=16",
        "model.num_blocks=6 model.slstm_at=all model.embedding_dim=128 model.context_length=256 training.batch_size=16"
      })
  void the_estimate_is_within_30_percent_of_what_a_run_takes(String keys) throws Exception {
    var dry = new ArrayList<>(command(keys));
    dry.add("--dry-run");
    var said = CommandLineRun.of(dry.toArray(String[]::new));
    assertThat(said.err()).isEmpty();
    double estimate = find(said.out(), "memory +about ([\\d,]+) MiB");

    var java =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--add-modules=jdk.incubator.vector",
                "-Dorg.bytedeco.javacpp.logger=slf4j",
                "-Djava.awt.headless=true",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                Program.class.getName()));
    java.addAll(command(keys));
    var builder = new ProcessBuilder(java).redirectErrorStream(true);
    builder.environment().put("MALLOC_ARENA_MAX", "1"); // as the launcher
    builder.environment().put("MALLOC_MMAP_MAX_", "0");
    builder.environment().put("MALLOC_TRIM_THRESHOLD_", "8589934592");
    builder.environment().put("MALLOC_TOP_PAD_", "67108864");
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertThat(process.waitFor()).as(output).isZero();
    double taken = find(output, "VmHWM:\\s+(\\d+) kB") / 1024;

    assertThat(estimate).as("of %s MiB", taken).isBetween(0.7 * taken, 1.3 * taken);
  }

  @Test
  void a_context_that_is_longer_than_the_data_is_said() throws Exception {
    var dry = command("model.num_blocks=1 model.embedding_dim=32 model.context_length=1000000");
    dry.add("--dry-run");
    var said = CommandLineRun.of(dry.toArray(String[]::new));
    assertThat(said.out())
        .contains("note ", "model.context_length (1,000,000) is longer than the data (")
        .containsPattern("memory +about \\d+,\\d{3}.* MiB");
  }
}
