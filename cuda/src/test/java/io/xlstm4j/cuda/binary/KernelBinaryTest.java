package io.xlstm4j.cuda.binary;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.cuda.driver.CudaDevice;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KernelBinaryTest {
  private static final Path SOURCES = Path.of("src/main/cuda");
  private static final Path BINARIES = Path.of("src/main/resources/io/xlstm4j/cuda");

  private static CudaDevice device(int major, int minor) {
    return new CudaDevice(0, "a device", major, minor, 1L << 30, 100, 100 << 10);
  }

  @ParameterizedTest(name = "{0}.{1} on {2} runs {3}")
  @CsvSource({
    "8, 0, slstm/general, slstm/general.sm_80.cubin.gz",
    "8, 6, slstm/general, slstm/general.sm_80.cubin.gz",
    "8, 9, slstm/general, slstm/general.sm_89.cubin.gz",
    "9, 0, slstm/gradients, slstm/gradients.sm_90a.cubin.gz",
    "9, 0, slstm/cluster, slstm/cluster.sm_90a.cubin.gz",
    "10, 0, slstm/cluster, slstm/cluster.compute_90.ptx.gz",
    "12, 1, slstm/general, slstm/general.compute_90.ptx.gz",
    "8, 9, mlstm/products, mlstm/products.sm_89.cubin.gz",
    "9, 0, mlstm/hopper, mlstm/hopper.sm_90a.cubin.gz",
  })
  void a_device_gets_its_own_machine_code_or_else_intermediate_code(
      int major, int minor, String source, String resource) {
    KernelBinary found = KernelBinary.find(source, device(major, minor)).orElseThrow();
    assertThat(found.resource()).isEqualTo(resource);
    byte[] code = found.bytes();
    if (found.machineCode()) {
      assertThat(code).startsWith(0x7F, 'E', 'L', 'F');
    } else {
      assertThat(new String(code, StandardCharsets.UTF_8)).contains(".version 8.6\n.target sm_90");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "7, 5, slstm/general",
    "8, 9, slstm/cluster",
    "9, 0, slstm/nothing",
    "10, 0, mlstm/hopper"
  })
  void a_device_that_a_source_does_not_run_on_gets_none(int major, int minor, String source) {
    assertThat(KernelBinary.find(source, device(major, minor))).isEmpty();
  }

  /// Fails when a source has changed and the binaries have not: run the profile cuda-compile.
  @Test
  void the_binaries_were_made_from_the_sources_as_they_are() throws Exception {
    var listed = new TreeMap<String, String>();
    for (String line : Files.readAllLines(BINARIES.resolve("binaries.sha256"))) {
      listed.put(line.substring(66), line.substring(0, 64));
    }
    var there = new TreeMap<String, String>();
    for (Path folder : new Path[] {SOURCES, BINARIES}) {
      try (var files = Files.walk(folder)) {
        for (Path file : files.filter(Files::isRegularFile).toList()) {
          if (!file.endsWith("binaries.sha256")) {
            there.put(file.toString().replace('\\', '/'), hash(file));
          }
        }
      }
    }
    assertThat(there).hasSizeGreaterThan(15).isEqualTo(listed);
  }

  private static String hash(Path file) throws IOException, NoSuchAlgorithmException {
    byte[] bytes = Files.readAllBytes(file);
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }
}
