package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A program that uses the library without a logging provider, in a JVM of its own.
class QuietProgramTest {
  @TempDir private Path folder;

  private List<String> run(String... flags) throws Exception {
    String classPath = // what a user of the library has: no provider for SLF4J
        Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
            .filter(entry -> !entry.contains("slf4j-nop"))
            .collect(Collectors.joining(File.pathSeparator));
    assertThat(classPath).contains("slf4j-api");
    var command = new ArrayList<String>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(flags));
    command.addAll(List.of("-cp", classPath, OneStep.class.getName()));
    Path said = folder.resolve("said");
    var builder =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(said.toFile());
    builder
        .environment()
        .keySet()
        .removeIf(name -> name.contains("JAVA") || name.startsWith("JDK"));
    Process process = builder.start();
    assertThat(process.waitFor(120, TimeUnit.SECONDS)).isTrue();
    List<String> lines = Files.readAllLines(said);
    assertThat(process.exitValue()).as("exit code; it said %s", lines).isZero();
    return lines;
  }

  @Test
  void only_the_jvm_prints_and_no_system_property_changes() throws Exception {
    assertThat(run("--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"))
        .allMatch(line -> line.startsWith("WARNING: ") && !line.contains("SLF4J"))
        .contains("WARNING: Using incubator modules: jdk.incubator.vector")
        .hasSizeLessThanOrEqualTo(5); // the other four: sun.misc.Unsafe in JavaCPP
  }
}
