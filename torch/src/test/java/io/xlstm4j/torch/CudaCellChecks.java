package io.xlstm4j.torch;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// Compares the cells on our kernels, as a model calls them, with libtorch's forms in float64 on
/// the same GPU: outputs, states and gradients on random inputs. Run by hand on a machine with a
/// GPU; see docs/gpu.md. Arguments: how many cases, and a seed.
final class CudaCellChecks {
  private static final double FLOAT32 = 2e-4;
  private static final double BFLOAT16 = 4e-2;
  private static final List<String> RESULTS =
      List.of("y", "last y", "c", "n", "m", "dwx", "dr", "db", "dy0", "dc0", "dn0", "dm0");
  private static final List<String> MLSTM_RESULTS =
      List.of("h", "c", "n", "m", "dq", "dk", "dv", "di", "df", "dc0", "dn0");

  private CudaCellChecks() {}

  /// @param arguments the number of cases, 40 if left out, and the seed, the clock's if left out
  public static void main(String[] arguments) {
    int cases = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 40;
    long seed = arguments.length > 1 ? Long.parseLong(arguments[1]) : System.nanoTime();
    var dice = new Random(seed);
    System.out.println("seed " + seed);
    int wrong = 0;
    for (int i = 0; i < cases; i++) {
      Torch.load();
      Torch.seed(seed + i);
      wrong += (i % 2 == 0 ? isRight(dice) : isMlstmRight(dice)) ? 0 : 1;
    }
    System.out.println(wrong == 0 ? "all right" : wrong + " of " + cases + " wrong");
    if (wrong > 0) {
      System.exit(1);
    }
  }

  private static boolean isRight(Random dice) {
    int batch = 1 + dice.nextInt(20);
    int length = 1 + dice.nextInt(40);
    int heads = 1 + dice.nextInt(4);
    int headDim = dice.nextInt(4) == 0 ? 1 + dice.nextInt(100) : 8 * (1 + dice.nextInt(32));
    boolean half = dice.nextInt(3) == 0;
    boolean masks = dice.nextBoolean();
    boolean throughState = dice.nextBoolean() && !half; // jumps where the candidates of m meet
    try (var _ = new PointerScope()) {
      Device gpu = Torch.device("cuda");
      ScalarType type = half ? ScalarType.BFloat16 : ScalarType.Float;
      List<Tensor> inputs =
          List.of(
              Init.normal(1).create(batch, length, 4, heads, headDim).to(type),
              Init.normal(0.5 / Math.sqrt(headDim)).create(heads, headDim, 4, headDim).to(type),
              Init.normal(1).create(heads, 4, headDim),
              Init.normal(0.3).create(batch, heads, headDim),
              Init.normal(1).create(batch, heads, headDim),
              Init.normal(1).create(batch, heads, headDim).abs().add(Ops.number(0.5)),
              Init.normal(1).create(batch, heads, headDim));
      SequenceLayout layout = masks ? layout(dice, batch, length).on(gpu) : SequenceLayout.FULL;
      List<Tensor> weights = new ArrayList<>();
      weights.add(Init.normal(1).create(batch, length, heads, headDim));
      for (int i = 0; throughState && i < 3; i++) {
        weights.add(Init.normal(1).create(batch, heads, headDim));
      }
      List<Tensor> exact =
          compute(inputs, weights, layout, gpu, ScalarType.Double, Backend.LIBTORCH);
      List<Tensor> ours = compute(inputs, weights, layout, gpu, type, Backend.FUSED);
      return isRight(
          String.format(
              Locale.ROOT,
              "sLSTM B %d S %d NH %d DH %d %s%s%s",
              batch,
              length,
              heads,
              headDim,
              half ? "bfloat16" : "float32",
              masks ? ", masks" : "",
              throughState ? ", gradients into the state" : ""),
          RESULTS,
          exact,
          ours,
          half);
    }
  }

  /// Queries and normalizers whose products are no small rest of large terms: see [CudaCellCheck].
  private static boolean isMlstmRight(Random dice) {
    int batch = 1 + dice.nextInt(5);
    int length = 1 + dice.nextInt(600);
    int heads = 1 + dice.nextInt(4);
    boolean odd = dice.nextInt(4) == 0;
    int qkDim = odd ? 1 + dice.nextInt(100) : 8 * (1 + dice.nextInt(48));
    int vDim =
        dice.nextBoolean() ? qkDim : odd ? 1 + dice.nextInt(100) : 8 * (1 + dice.nextInt(64));
    boolean half = dice.nextInt(3) != 0;
    boolean starts = dice.nextBoolean();
    boolean padded = dice.nextInt(3) == 0;
    boolean throughState = dice.nextBoolean();
    try (var _ = new PointerScope()) {
      Device gpu = Torch.device("cuda");
      ScalarType type = half ? ScalarType.BFloat16 : ScalarType.Float;
      List<Tensor> inputs =
          List.of(
              Init.normal(0.2)
                  .create(batch, length, (long) heads * qkDim)
                  .add(Ops.number(1))
                  .to(type),
              Init.normal(1).create(batch, length, (long) heads * qkDim).to(type),
              Init.normal(1).create(batch, length, (long) heads * vDim).to(type),
              Init.normal(1).create(batch, length, heads).sub(Ops.number(6)),
              Init.normal(1).create(batch, length, heads).add(Ops.number(8)),
              Init.normal(1).create(batch, heads, qkDim, vDim),
              Init.normal(0.3).create(batch, heads, qkDim).add(Ops.number(5)),
              Init.normal(0.1).create(batch, heads));
      SequenceLayout both = layout(dice, batch, length);
      SequenceLayout layout =
          new SequenceLayout(padded ? both.valid() : null, starts ? both.starts() : null).on(gpu);
      List<Tensor> weights = new ArrayList<>();
      weights.add(Init.normal(1).create(batch, length, heads, vDim));
      if (throughState) {
        weights.add(Init.normal(1).create(batch, heads, qkDim, vDim));
        weights.add(Init.normal(1).create(batch, heads, qkDim));
      }
      List<Tensor> exact =
          computeMlstm(inputs, weights, layout, gpu, ScalarType.Double, Backend.LIBTORCH);
      List<Tensor> ours = computeMlstm(inputs, weights, layout, gpu, type, Backend.FUSED);
      return isRight(
          String.format(
              Locale.ROOT,
              "mLSTM B %d S %d NH %d DQK %d DHV %d %s%s%s%s",
              batch,
              length,
              heads,
              qkDim,
              vDim,
              half ? "bfloat16" : "float32",
              starts ? ", documents" : "",
              padded ? ", padding" : "",
              throughState ? ", gradients into the state" : ""),
          MLSTM_RESULTS,
          exact,
          ours,
          half);
    }
  }

  private static boolean isRight(
      String what, List<String> names, List<Tensor> exact, List<Tensor> ours, boolean half) {
    double worst = 0;
    String where = "";
    for (int i = 0; i < exact.size(); i++) {
      @Nullable Tensor terms = names.get(i).equals("df") ? exact.get(names.indexOf("di")) : null;
      double error = CudaCellCheck.error(ours.get(i), exact.get(i), terms);
      if (!(error <= worst)) {
        worst = error;
        where = names.get(i);
      }
    }
    boolean right = worst <= (half ? BFLOAT16 : FLOAT32);
    System.out.printf(
        Locale.ROOT, "%s %s: %.1e at %s%n", right ? "right" : "WRONG", what, worst, where);
    return right;
  }

  private static SequenceLayout layout(Random dice, int batch, int length) {
    int[] lengths = new int[batch];
    boolean[] starts = new boolean[batch * length];
    for (int i = 0; i < batch; i++) {
      lengths[i] = dice.nextInt(length + 1);
    }
    for (int i = 0; i < starts.length; i++) {
      starts[i] = dice.nextInt(8) == 0;
    }
    return new SequenceLayout(
        SequenceLayout.ofLengths(Tensors.of(lengths, batch), length).valid(),
        Tensors.of(starts, batch, length));
  }

  private static List<Tensor> compute(
      List<Tensor> inputs,
      List<Tensor> weights,
      SequenceLayout layout,
      Device gpu,
      ScalarType type,
      Backend backend) {
    ScalarType wide = type == ScalarType.Double ? type : ScalarType.Float;
    var leaves = new ArrayList<Tensor>();
    for (int i = 0; i < inputs.size(); i++) {
      leaves.add(DiagnosticSetting.asLeaf(inputs.get(i).to(gpu, i < 2 ? type : wide)));
    }
    var execution = new ExecutionMode();
    execution.backend(backend);
    var initial = new SlstmCell.State(leaves.get(3), leaves.get(4), leaves.get(5), leaves.get(6));
    SlstmCell.Output output =
        execution.slstm(
            SlstmCell.PAPER, leaves.get(0), leaves.get(1), leaves.get(2), initial, layout);
    if (backend == Backend.FUSED && output.y().scalar_type().intern() != type) {
      throw new IllegalStateException("the kernels were not used");
    }
    Tensor y = layout.padded(output.y().to(wide), 1);
    var results = new ArrayList<Tensor>(List.of(y));
    results.addAll(output.state().tensors());
    backward(results, weights, gpu, wide);
    for (Tensor leaf : leaves) {
      results.add(leaf.grad().defined() ? leaf.grad() : leaf.mul(Ops.number(0)));
    }
    return results;
  }

  private static List<Tensor> computeMlstm(
      List<Tensor> inputs,
      List<Tensor> weights,
      SequenceLayout layout,
      Device gpu,
      ScalarType type,
      Backend backend) {
    ScalarType wide = type == ScalarType.Double ? type : ScalarType.Float;
    var leaves = new ArrayList<Tensor>();
    for (int i = 0; i < inputs.size(); i++) {
      leaves.add(DiagnosticSetting.asLeaf(inputs.get(i).to(gpu, i < 3 ? type : wide)));
    }
    var execution = new ExecutionMode();
    execution.backend(backend);
    var initial =
        new MlstmCell.State(leaves.get(5), leaves.get(6), leaves.get(7).detach()); // m is constant
    MlstmCell.Output output =
        execution.mlstm(
            leaves.get(0),
            leaves.get(1),
            leaves.get(2),
            leaves.get(3),
            leaves.get(4),
            initial,
            layout);
    if (backend == Backend.FUSED && output.h().scalar_type().intern() != type) {
      throw new IllegalStateException("the kernels were not used");
    }
    Tensor h = layout.padded(output.h().to(wide), 1);
    var results = new ArrayList<Tensor>(List.of(h));
    results.addAll(output.state().tensors());
    backward(results, weights, gpu, wide);
    for (Tensor leaf : leaves.subList(0, 7)) {
      results.add(leaf.grad().defined() ? leaf.grad() : leaf.mul(Ops.number(0)));
    }
    return results;
  }

  private static void backward(
      List<Tensor> results, List<Tensor> weights, Device gpu, ScalarType wide) {
    @Nullable Tensor loss = null;
    for (int i = 0; i < weights.size(); i++) {
      Tensor term = results.get(i).mul(weights.get(i).to(gpu, wide)).sum();
      loss = loss == null ? term : loss.add(term);
    }
    Ops.present(loss).backward();
  }
}
