package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The archive's parts; that a bundle runs without JDK, HOME and PATH is tested by .ci/run.
class BundleTest {
  @TempDir private Path root;

  private Path app;

  @BeforeEach
  void pretend_a_clone() throws IOException {
    app = Files.createDirectories(root.resolve("clone/cli/target/app"));
    jar(
        "pytorch-2.0-linux-x86_64.jar",
        "org/bytedeco/pytorch/linux-x86_64/libtorch_cpu.so",
        "a/b.h");
    jar("xlstm4j-cli-0.jar", "io/xlstm4j/cli/Main.class");
    Files.writeString(app.resolve(".built"), "");
    for (String file : List.of("LICENSE", "NOTICE", "THIRD-PARTY.md", "xlstm", "xlstm.cmd")) {
      Files.writeString(root.resolve("clone").resolve(file), file);
    }
    assertThat(root.resolve("clone/xlstm").toFile().setExecutable(true)).isTrue();
  }

  private void jar(String name, String... entries) throws IOException {
    try (var out = new ZipOutputStream(Files.newOutputStream(app.resolve(name)))) {
      for (String entry : entries) {
        out.putNextEntry(new ZipEntry(entry));
        out.write(7);
      }
    }
  }

  @Test
  void an_archive_has_runtime_jars_launchers_and_licences_in_one_folder() throws IOException {
    Path out = root.resolve("a.zip");
    Files.writeString(out, "what was there before");
    Bundle.of(app).write(out);
    Set<String> entries = new TreeSet<>();
    try (var zip = new ZipFile(out.toFile())) {
      zip.stream().map(ZipEntry::getName).forEach(entries::add);
    }
    assertThat(entries).allMatch(entry -> entry.startsWith("xlstm4j-linux-x86_64/"));
    assertThat(entries)
        .contains(
            "xlstm4j-linux-x86_64/xlstm",
            "xlstm4j-linux-x86_64/xlstm.cmd",
            "xlstm4j-linux-x86_64/LICENSE",
            "xlstm4j-linux-x86_64/NOTICE",
            "xlstm4j-linux-x86_64/THIRD-PARTY.md",
            "xlstm4j-linux-x86_64/app/xlstm4j-cli-0.jar",
            "xlstm4j-linux-x86_64/app/pytorch-2.0-linux-x86_64.jar",
            "xlstm4j-linux-x86_64/runtime/release")
        .doesNotContain("xlstm4j-linux-x86_64/app/.built");
    try (var files = Files.list(root)) {
      assertThat(files.map(file -> String.valueOf(file.getFileName())))
          .containsExactlyInAnyOrder("clone", "a.zip");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "org/bytedeco/pytorch/linux-x86_64/libtorch_cpu.so, true",
    "org/bytedeco/pytorch/linux-x86_64/include/torch/all.h, false",
    "org/bytedeco/openblas/linux-x86_64/libjniopenblas.so, true",
    "org/bytedeco/openblas/linux-x86_64/libjniopenblas_full.so, false",
    "org/bytedeco/openblas/linux-x86_64/libopenblas.so.0, true",
    "native/lib/linux-x86_64/cpu/libtokenizers.so, true",
    "native/lib/linux-aarch64/cpu/libtokenizers.so, false",
    "native/lib/win-x86_64/cpu/tokenizers.dll, false",
    "native/lib/tokenizers.properties, true",
    "ai/djl/huggingface/tokenizers/HuggingFaceTokenizer.class, true",
  })
  void jars_keep_what_a_run_on_this_platform_reads(String entry, boolean read) throws IOException {
    assertThat(Bundle.of(app).isRead(entry)).isEqualTo(read);
  }

  @ParameterizedTest
  @CsvSource({
    "linux-x86_64, xlstm4j-linux-x86_64, false",
    "linux-x86_64-gpu, xlstm4j-linux-x86_64-cuda, true",
    "macosx-arm64, xlstm4j-macosx-arm64, false",
    "windows-x86_64, xlstm4j-windows-x86_64, false",
  })
  void the_folder_is_named_after_the_platform(String natives, String name, boolean cuda)
      throws IOException {
    Files.delete(app.resolve("pytorch-2.0-linux-x86_64.jar"));
    jar("pytorch-2.13.0-1.5.14.jar", "a");
    jar("pytorch-2.13.0-1.5.14-" + natives + ".jar", "a");
    Bundle bundle = Bundle.of(app);
    assertThat(bundle.name()).isEqualTo(name);
    assertThat(bundle.hasCuda()).isEqualTo(cuda);
  }

  @ParameterizedTest
  @ValueSource(strings = {"a.rar", "a", "none/a.zip", "clone/cli"})
  void a_file_that_cannot_be_written_is_named_before_any_work(String file) throws IOException {
    Bundle bundle = Bundle.of(app);
    Path out = root.resolve(file);
    assertThatThrownBy(() -> bundle.write(out))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("--out " + out + ": ");
  }

  @Test
  void a_folder_without_libtorch_or_with_two_is_refused() throws IOException {
    jar("pytorch-2.0-windows-x86_64.jar", "a");
    assertThatThrownBy(() -> Bundle.of(app)).hasMessageContaining("several platforms");
    Files.delete(app.resolve("pytorch-2.0-windows-x86_64.jar"));
    Files.delete(app.resolve("pytorch-2.0-linux-x86_64.jar"));
    assertThatThrownBy(() -> Bundle.of(app)).hasMessageContaining("no native libtorch is here");
  }
}
