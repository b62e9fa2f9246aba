package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.jar.Attributes;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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

  /// The script in an environment of nothing but `variables`, with its output as UTF-8.
  private CommandLineRun runBare(Map<String, String> variables, List<String> command)
      throws IOException, InterruptedException {
    Path out = root.resolve("out");
    Path err = root.resolve("err");
    var builder = new ProcessBuilder(command).redirectOutput(out.toFile());
    builder.redirectError(err.toFile());
    builder.environment().clear();
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().putAll(variables);
    int code = builder.start().waitFor();
    return new CommandLineRun(code, Files.readString(out), Files.readString(err));
  }

  private String script() {
    return root.resolve("xlstm").toString();
  }

  private void assertHelps() throws IOException, InterruptedException {
    CommandLineRun run = run("generate", "--help");
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
    assertThat(run.out()).startsWith("Usage: " + script() + " generate");
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

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"", "LC_ALL=C", "LC_ALL=POSIX", "LANG=xx_XX.UTF-8", "LC_CTYPE=C.UTF-8"})
  void starts_without_home_and_passes_letters_on_in_any_locale(String variable) throws Exception {
    String[] pair = variable.split("=", 2);
    Map<String, String> variables = pair.length == 2 ? Map.of(pair[0], pair[1]) : Map.of();
    CommandLineRun run =
        runBare(variables, List.of(script(), "prepare", "--data", "größe 日.txt", "--out", "x"));
    assertThat(run.err()).startsWith("xlstm: corpus größe 日.txt: no such file or folder");
    assertThat(run.err().lines()).hasSize(1);
    assertThat(run.code()).isEqualTo(1);
  }

  @Test
  void numbers_and_names_of_files_are_the_same_in_every_locale() throws Exception {
    Path text = Files.writeString(root.resolve("text.txt"), "a b<|endoftext|>c d\n".repeat(900));
    var outs = new ArrayList<String>();
    for (String language : List.of("en", "de", "ar")) {
      Path out = root.resolve("prepared-" + language);
      CommandLineRun run =
          runBare(
              Map.of("JDK_JAVA_OPTIONS", "-Duser.language=" + language + " -Duser.country=EG"),
              List.of(
                  script(),
                  "prepare",
                  "--data=" + text,
                  "--tokenizer=bytes",
                  "--out=" + out,
                  "--shard-tokens=1000"));
      assertThat(run.code()).as(run.err()).isZero();
      assertThat(out.resolve("train-00001.tokens")).exists();
      outs.add(run.out().replaceAll("prepared.* in .*", "").replace(out.toString(), "OUT"));
    }
    assertThat(outs.get(1)).isEqualTo(outs.get(0)).contains(" bytes per token");
    assertThat(outs.get(2)).isEqualTo(outs.get(0));
  }

  @Test
  void works_behind_a_link_and_in_a_folder_with_blanks_umlauts_and_line_ends() throws Exception {
    Path odd = Files.createDirectories(root.resolve("ä folder\nof two lines")).resolve("tool");
    Files.createSymbolicLink(odd, root.resolve("xlstm"));
    CommandLineRun run = runBare(Map.of("LANG", "C.UTF-8"), List.of(odd.toString(), "help"));
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();

    Path moved = Files.createDirectories(root.resolve("ü b\nc"));
    for (String name : List.of("xlstm", "pom.xml", "cli")) {
      Files.move(root.resolve(name), moved.resolve(name));
    }
    CommandLineRun there =
        runBare(Map.of(), List.of(moved.resolve("xlstm").toString(), "train", "--help"));
    assertThat(there.err()).isEmpty();
    assertThat(there.code()).isZero();
  }

  @Test
  void needs_no_temporary_folder_of_the_shell() throws Exception {
    CommandLineRun run =
        runBare(Map.of("TMPDIR", "/nowhere", "LC_ALL", "C"), List.of(script(), "help"));
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
  }

  @Test
  void hints_name_the_program_as_it_was_started() throws Exception {
    var builder = new ProcessBuilder("./xlstm", "generate").directory(root.toFile());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.redirectErrorStream(true);
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).isEqualTo(2);
    assertThat(said).contains("Try: ./xlstm generate --help");

    CommandLineRun onPath =
        runBare(
            Map.of("PATH", root + ":/usr/bin:/bin"), List.of("/usr/bin/env", "xlstm", "generate"));
    assertThat(onPath.err()).contains("Try: xlstm generate --help");
  }
}
