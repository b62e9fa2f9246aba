package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.jar.Attributes;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/// The script in a folder of its own, where the program is one jar that leads to this class path.
@DisabledOnOs(OS.WINDOWS)
class LauncherTest {
  @TempDir private Path root;

  private Path app;

  @BeforeEach
  void pretend_a_build() throws IOException {
    Path script = Path.of(System.getProperty("user.dir")).resolveSibling("xlstm");
    Files.copy(script, root.resolve("xlstm"));
    assertThat(root.resolve("xlstm").toFile().setExecutable(true)).isTrue();
    Files.createDirectories(root.resolve("cli/src/main"));
    Files.writeString(root.resolve("pom.xml"), "");
    Files.writeString(root.resolve("cli/pom.xml"), "");
    app = Files.createDirectories(root.resolve("cli/target/app"));
    var manifest = new Manifest();
    manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
    manifest
        .getMainAttributes()
        .put(
            Attributes.Name.CLASS_PATH,
            Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .map(entry -> Path.of(entry).toUri().toString())
                .collect(Collectors.joining(" ")));
    try (var out = Files.newOutputStream(app.resolve("program.jar"));
        var jar = new JarOutputStream(out, manifest)) {
      jar.finish();
    }
    Files.writeString(app.resolve(".built"), "");
  }

  private CommandLineRun run(String... arguments) throws IOException, InterruptedException {
    Path out = root.resolve("out");
    Path err = root.resolve("err");
    var command = new java.util.ArrayList<String>();
    command.add(root.resolve("xlstm").toString());
    command.addAll(Arrays.asList(arguments));
    var builder = new ProcessBuilder(command).redirectOutput(out.toFile());
    builder.redirectError(err.toFile());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    int code = builder.start().waitFor();
    return new CommandLineRun(code, Files.readString(out), Files.readString(err));
  }

  private void assertHelps() throws IOException, InterruptedException {
    CommandLineRun run = run("generate", "--help");
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
    assertThat(run.out()).startsWith("Usage: xlstm generate");
  }

  @Test
  void starts_without_a_cache_of_classes() throws Exception {
    assertHelps();
  }

  @Test
  void starts_without_a_word_whatever_the_cache_of_classes_is() throws Exception {
    Path cache = app.resolve("startup.aot");
    Files.writeString(cache, "no cache at all");
    assertHelps();
    Files.write(cache, new byte[0]);
    assertHelps();
    Files.write(cache, new byte[1 << 16]);
    assertHelps();
    Files.delete(cache);
    Files.createDirectory(cache);
    assertHelps();
  }

  @Test
  void hands_on_arguments_and_exit_codes() throws Exception {
    CommandLineRun none = run("generate", "--model", "no such folder");
    assertThat(none.code()).isEqualTo(1);
    assertThat(none.err().lines()).hasSize(1);
    assertThat(run("generate").code()).isEqualTo(2);
    assertThat(run("--version").code()).isZero();
  }
}
