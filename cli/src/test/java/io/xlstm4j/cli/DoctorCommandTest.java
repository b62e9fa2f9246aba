package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.torch.Diagnostics.Finding;
import io.xlstm4j.torch.Diagnostics.Row;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class DoctorCommandTest {
  @Test
  void what_cuda_lacks_is_said_with_file_names() {
    assertThat(DoctorCommand.cudaLines(0, false, false, List.of()))
        .containsExactly("not available: no NVIDIA driver");
    assertThat(DoctorCommand.cudaLines(0, true, false, List.of()))
        .first()
        .asString()
        .contains("no libtorch for GPUs", "-Pcuda");
    assertThat(DoctorCommand.cudaLines(0, true, true, List.of("libcudnn.so.9", "libnccl.so.2")))
        .containsExactly("not available, missing: libcudnn.so.9 libnccl.so.2");
    assertThat(DoctorCommand.cudaLines(2, true, true, List.of()))
        .first()
        .asString()
        .startsWith("2 GPUs");
  }

  @Test
  void a_wrong_number_stands_out_with_its_tensor_and_bound() {
    var wrong = new Finding("plain loops", "gradient of q", 0.3, 1e-3);
    var row = new Row("mLSTM cell", 1e-3, List.of(new Finding("libtorch", "h", 2e-7, 1e-3), wrong));
    assertThat(DiagnosticsTable.line(row, List.of("libtorch", "Vector API", "plain loops")))
        .matches("mLSTM cell +2e-07 +- +WRONG 3e-01 +1e-03");
    assertThat(DiagnosticsTable.sentence(row, wrong))
        .startsWith("WRONG     mLSTM cell on plain loops: gradient of q differs by ")
        .endsWith(", allowed 1e-03");
  }

  @ParameterizedTest
  @CsvSource({"1e-6, 0, all is well", "0.3, 1, something is wrong", "NaN, 1, something is wrong"})
  void the_command_ends_with_1_if_one_row_is_wrong(double difference, int code, String last) {
    var right = new Row("right", 1e-3, List.of(new Finding("libtorch", "h", 1e-6, 1e-3)));
    var row = new Row("asked", 1e-3, List.of(new Finding("libtorch", "h", difference, 1e-3)));
    var checks =
        new DiagnosticsTable.Checks(
            List.of("libtorch"), onRow -> List.of(right, row, right).forEach(onRow));
    var out = new StringWriter();
    int ended =
        new CommandLine(new DoctorCommand(() -> checks))
            .setOut(new PrintWriter(out, true))
            .execute();
    assertThat(ended).isEqualTo(code);
    assertThat(out.toString().lines().toList().getLast()).startsWith(last);
    if (code != 0) {
      assertThat(out.toString()).contains("WRONG     asked on libtorch: h differs by ");
    }
  }
}
