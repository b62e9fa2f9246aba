package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CudaLibrariesTest {
  @TempDir private Path folder;

  @Test
  void libraries_that_are_not_there_are_named_by_their_files() throws IOException {
    for (String library : CudaLibraries.NEEDED) {
      if (!library.startsWith("libcudnn") && !library.equals("libnccl.so.2")) {
        Files.createFile(folder.resolve(library));
      }
    }
    assertThat(CudaLibraries.missing(name -> Files.exists(folder.resolve(name))))
        .containsExactly(
            "libcudnn.so.9",
            "libcudnn_ops.so.9",
            "libcudnn_cnn.so.9",
            "libcudnn_adv.so.9",
            "libcudnn_graph.so.9",
            "libnccl.so.2");
  }

  @Test
  void a_file_that_is_no_library_does_not_load() throws IOException {
    Path empty = Files.createFile(folder.resolve("libcudart.so.13"));
    assertThat(CudaLibraries.loads(empty.toString())).isFalse();
    assertThat(CudaLibraries.loads("libof-nobody.so.7")).isFalse();
  }
}
