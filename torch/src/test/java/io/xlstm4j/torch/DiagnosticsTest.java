package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.torch.Diagnostics.Finding;
import io.xlstm4j.torch.Diagnostics.Row;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DiagnosticsTest {
  /// A calculation whose kernels give something else than they should.
  ///
  /// @param wrong the output that is
  /// @param by added to it
  private record Wrong(DiagnosticCase right, String wrong, double by) implements DiagnosticCase {
    @Override
    public String name() {
      return right.name();
    }

    @Override
    public Graph build(DiagnosticSetting setting) {
      Graph graph = right.build(setting);
      return setting.isFused()
          ? new Graph(graph.leaves(), () -> changed(graph.forward().get()), graph.owner())
          : graph;
    }

    private Map<String, Tensor> changed(Map<String, Tensor> outputs) {
      var changed = new LinkedHashMap<>(outputs);
      // the square's value is almost nothing where its slope is not
      changed.computeIfPresent(wrong, (_, x) -> x.add(Ops.times(x.square(), by)));
      return changed;
    }
  }

  private static List<Row> run(List<DiagnosticCase> calculations) {
    var rows = new ArrayList<Row>();
    new Diagnostics(calculations, DiagnosticSetting.all()).run(rows::add);
    return rows;
  }

  @Test
  void every_calculation_agrees_everywhere_and_its_gradients_with_finite_differences() {
    List<Row> rows = run(DiagnosticCases.all());
    assertThat(rows)
        .hasSizeGreaterThan(15)
        .allSatisfy(row ->
            assertThat(row.findings()).as(row.what()).isNotEmpty().allMatch(Finding::passed));
    for (String where : List.of("float64", "libtorch", "Vector API", "plain loops")) {
      long count =
          rows.stream()
              .flatMap(row -> row.findings().stream())
              .filter(finding -> finding.where().equals(where))
              .count();
      assertThat(count).as(where).isGreaterThan(12);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "mLSTM cell",
        "Slstm layer",
        "language model, Large",
        "decode, product int8",
        "decode, mLSTM step"
      })
  void a_wrong_number_of_the_kernels_is_found(String name) {
    Torch.load();
    DiagnosticCase right =
        DiagnosticCases.all().stream().filter(c -> c.name().equals(name)).findFirst().orElseThrow();
    String output =
        Map.of(
                "mLSTM cell", "h",
                "Slstm layer", "y",
                "decode, product int8", "y",
                "decode, mLSTM step", "h")
            .getOrDefault(name, "loss");
    Row row = run(List.of(new Wrong(right, output, 0.02))).getFirst();
    assertThat(row.passed()).isFalse();
    for (Finding finding : row.findings()) {
      boolean kernels =
          finding.where().equals("Vector API") || finding.where().equals("plain loops");
      assertThat(finding.passed()).as(finding.where()).isEqualTo(!kernels);
    }
  }

  @Test
  void a_number_that_is_none_is_wrong() {
    assertThat(new Finding("cpu", "h", Double.NaN, 1).passed()).isFalse();
  }
}
