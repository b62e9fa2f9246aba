package io.xlstm4j.torch;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;

/// Checks on the machine at hand that every cell, layer, block and model computes the right
/// numbers, forward and backward, on every device and with every kind of kernels.
///
/// The reference is libtorch in float64 on the CPU, whose own gradients are compared with finite
/// differences. Differences are relative to the largest number of the same tensor; a tensor whose
/// numbers are all tiny counts a thousandth of the largest number of all.
public final class Diagnostics {
  private static final int SEED = 11;
  private static final double FINITE_DIFFERENCES = 1e-5;
  private static final double STEP = 1e-5;
  private static final double LEAST_SCALE = 1e-3;

  private final List<DiagnosticCase> calculations;
  private final List<DiagnosticSetting> settings;

  Diagnostics(List<DiagnosticCase> calculations, List<DiagnosticSetting> settings) {
    this.calculations = calculations;
    this.settings = settings;
  }

  /// Everything that this process can compute with.
  public static Diagnostics here() {
    Torch.load();
    return new Diagnostics(DiagnosticCases.all(), DiagnosticSetting.all());
  }

  /// @param where it was computed
  /// @param tensor with the largest difference
  /// @param difference of it from the reference, relative
  public record Finding(String where, String tensor, double difference, double allowed) {
    /// False for NaN too.
    public boolean passed() {
      return difference <= allowed;
    }
  }

  /// @param what was computed
  /// @param allowed for all findings but the first, and but our kernels on GPUs, which may differ
  ///   by 1e-3
  /// @param findings for the columns that could compute it: the reference's own gradients against
  ///   finite differences first
  public record Row(String what, double allowed, List<Finding> findings) {
    public boolean passed() {
      return findings.stream().allMatch(Finding::passed);
    }
  }

  /// Returns where is computed, in the order in which findings come.
  public List<String> columns() {
    var columns = new ArrayList<String>();
    columns.add(DiagnosticSetting.reference().name());
    settings.forEach(setting -> columns.add(setting.name()));
    return columns;
  }

  /// Runs every check, a few seconds in all.
  ///
  /// @param onRow is called with each row as soon as it is known
  public void run(Consumer<Row> onRow) {
    for (DiagnosticCase calculation : calculations) {
      onRow.accept(check(calculation));
    }
  }

  private Row check(DiagnosticCase calculation) {
    var findings = new ArrayList<Finding>();
    try (var _ = new PointerScope()) {
      DiagnosticSetting reference = DiagnosticSetting.reference();
      Map<String, double[]> expected;
      try (DiagnosticCase.Graph graph = seeded(calculation, reference)) {
        expected = numbers(graph);
        if (!graph.leaves().isEmpty()) {
          findings.add(finiteDifferences(reference.name(), graph));
        }
      }
      for (DiagnosticSetting setting : settings) {
        if (calculation.runsIn(setting)) {
          findings.add(compare(setting, calculation, expected));
        }
      }
    }
    return new Row(calculation.name(), calculation.allowed(), findings);
  }

  private static DiagnosticCase.Graph seeded(
      DiagnosticCase calculation, DiagnosticSetting setting) {
    Torch.seed(SEED);
    return setting.isFused()
        ? FusedKernels.using(setting.kernels(), () -> calculation.build(setting))
        : calculation.build(setting);
  }

  private static Finding compare(
      DiagnosticSetting setting, DiagnosticCase calculation, Map<String, double[]> expected) {
    Map<String, double[]> actual;
    try (var _ = new PointerScope();
        DiagnosticCase.Graph graph = seeded(calculation, setting)) {
      actual = numbers(graph);
    }
    double all = expected.values().stream().mapToDouble(Diagnostics::largest).max().orElse(0);
    String worst = "";
    double most = 0;
    for (Map.Entry<String, double[]> entry : expected.entrySet()) {
      double[] there = actual.getOrDefault(entry.getKey(), new double[0]);
      double scale = Math.max(largest(entry.getValue()), LEAST_SCALE * all);
      double difference = largestDifference(there, entry.getValue()) / scale;
      if (!(difference <= most)) { // NaN counts as worst
        most = difference;
        worst = entry.getKey();
      }
      if (Double.isNaN(difference)) {
        break;
      }
    }
    double allowed = Math.max(calculation.allowed(), setting.rounding());
    return new Finding(setting.name(), worst, most, allowed);
  }

  private static double largest(double[] values) {
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }

  /// NaN for arrays of different lengths.
  private static double largestDifference(double[] a, double[] b) {
    if (a.length != b.length) {
      return Double.NaN;
    }
    double largest = 0;
    for (int i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs(a[i] - b[i])); // max keeps NaN
    }
    return largest;
  }

  /// Every output and every gradient of a sum of all outputs with fixed weights.
  private static Map<String, double[]> numbers(DiagnosticCase.Graph graph) {
    var numbers = new LinkedHashMap<String, double[]>();
    Map<String, Tensor> outputs = graph.forward().get();
    outputs.forEach((name, output) -> numbers.put(name, Tensors.doubles(output)));
    if (!graph.leaves().isEmpty()) {
      backward(outputs, "");
      graph.leaves().forEach((name, leaf) -> numbers.put("gradient of " + name, gradient(leaf)));
    }
    return numbers;
  }

  private static double[] gradient(Tensor leaf) {
    Tensor gradient = leaf.grad();
    return gradient.defined()
        ? Tensors.doubles(gradient)
        : new double[Math.toIntExact(leaf.numel())];
  }

  /// @param not beginning of the names that are left out; empty for none
  private static void backward(Map<String, Tensor> outputs, String not) {
    loss(outputs, not).backward();
  }

  private static Tensor loss(Map<String, Tensor> outputs, String not) {
    Torch.seed(SEED + 1);
    @SuppressWarnings("NullAway") // there is always an output
    Tensor loss =
        outputs.entrySet().stream()
            .filter(entry -> not.isEmpty() || !entry.getKey().startsWith(not))
            .map(entry -> weighted(entry.getValue()))
            .reduce(Tensor::add)
            .orElseThrow();
    return loss;
  }

  private static Tensor weighted(Tensor output) {
    Tensor wide = Ops.atLeastFloat32(output);
    Tensor weights = Init.normal(1).create(Ops.shape(output));
    return wide.mul(weights.to(wide.device(), wide.scalar_type())).sum();
  }

  /// The slope along one random direction through all leaves at once, by both ways.
  private static Finding finiteDifferences(String where, DiagnosticCase.Graph graph) {
    graph.leaves().values().forEach(leaf -> leaf.mutable_grad().reset());
    backward(graph.forward().get(), "state");
    var directions = new LinkedHashMap<Tensor, Tensor>();
    double slope = 0;
    double size = 0;
    Torch.seed(SEED + 2);
    for (Tensor leaf : graph.leaves().values()) {
      Tensor direction = Init.normal(1).create(Ops.shape(leaf)).type_as(leaf);
      directions.put(leaf, direction);
      if (leaf.grad().defined()) {
        Tensor product = leaf.grad().mul(direction);
        slope += product.sum().item_double();
        size += product.abs().sum().item_double();
      }
    }
    double above = shifted(graph, directions, STEP);
    double below = shifted(graph, directions, -2 * STEP);
    double measured = (above - below) / (2 * STEP);
    return new Finding(
        where, "all gradients", Math.abs(slope - measured) / size, FINITE_DIFFERENCES);
  }

  private static double shifted(
      DiagnosticCase.Graph graph, Map<Tensor, Tensor> directions, double step) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      directions.forEach((leaf, direction) -> leaf.add_(Ops.times(direction, step)));
      return loss(graph.forward().get(), "state").item_double();
    }
  }
}
