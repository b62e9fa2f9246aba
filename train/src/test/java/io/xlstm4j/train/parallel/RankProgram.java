package io.xlstm4j.train.parallel;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.torch.AdamW;
import io.xlstm4j.torch.SequenceLayout;
import io.xlstm4j.torch.Tensors;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.torch.XlstmLanguageModel;
import io.xlstm4j.train.config.OptimizerConfig;
import io.xlstm4j.train.optim.Optimizers;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/// The program of the processes of the tests: small training loops whose phases a test can break
/// into.
public final class RankProgram {
  /// Adam's epsilon is 1e-4: a bias on the exponential input gate of the sLSTM cancels in c/n, so
  /// its true gradient is zero, and with 1e-8 Adam would take steps by its rounding error alone.
  private static final OptimizerConfig TRAINING =
      new OptimizerConfig(1e-3, 0.1, 0.9, 0.95, 1e-4, 1.0, 0, 0, List.of());

  private RankProgram() {}

  public static void main(String[] arguments) throws IOException {
    LocalRanks.whenLauncherIsGone(() -> Runtime.getRuntime().halt(1));
    try (ProcessGroup world = ProcessGroup.of(System.getenv())) {
      try {
        run(world, List.of(arguments));
      } catch (RankFailedException e) {
        throw e;
      } catch (RuntimeException e) {
        world.fail(String.valueOf(e.getMessage()));
        throw e;
      }
    } catch (InvalidInputException e) {
      System.err.println("xlstm: " + e.getMessage());
      System.exit(1);
    }
    System.exit(0);
  }

  private static void run(ProcessGroup world, List<String> words) throws IOException {
    switch (words.getFirst()) {
      case "train" -> {
        float[] weights = train(world, Tiny.MODEL, 4, 8, 50, words.contains("plain"));
        var bytes = ByteBuffer.allocate(weights.length * Float.BYTES);
        bytes.asFloatBuffer().put(weights);
        Files.write(Path.of(words.get(1) + world.rank()), bytes.array());
      }
      case "speed" -> speed(world, words.contains("plain"));
      case "agree" -> world.agree(Map.of("data", "same", "seed", words.get(1 + world.rank())));
      case "phases" -> phases(world, words.get(1), Integer.parseInt(words.get(2)));
      case "wrong" -> {
        world.barrier();
        if (world.rank() == 1) {
          throw new InvalidInputException("the disk is full");
        }
        world.barrier();
      }
      case "sleep" -> {
        world.barrier();
        Files.writeString(
            Path.of(words.get(1) + world.rank()), Long.toString(ProcessHandle.current().pid()));
        DaemonThreads.sleep(60_000);
      }
      default -> throw new IllegalArgumentException(words.getFirst());
    }
  }

  /// Sizes.
  private static final class Tiny {
    static final PaperModelConfig MODEL =
        PaperModelConfig.of(11, BlockStackConfig.of(2, 32, List.of(1)));
  }

  /// @return all weights
  static float[] train(
      ProcessGroup world, PaperModelConfig config, int rows, int length, int steps, boolean plain) {
    Torch.seed(1);
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(config);
        var optimizer = Optimizers.adamW(model.parameters().byName(), model::decays, TRAINING);
        GradientReducer reducer = world.reducer(model.parameters())) {
      for (int step = 0; step < steps; step++) {
        step(world, model, reducer, plain, rows, length, step);
        step(optimizer, TRAINING.learningRate());
      }
      if (reducer instanceof BucketReducer buckets && steps > 1 && !plain) {
        if (buckets.sentEarly() < steps - 1) {
          throw new InvalidInputException("nothing was sent during the backward pass");
        }
      }
      float[][] all =
          model.parameters().byName().values().stream()
              .map(Tensors::floats)
              .toArray(float[][]::new);
      int count = Arrays.stream(all).mapToInt(x -> x.length).sum();
      var joined = ByteBuffer.allocate(count * Float.BYTES).asFloatBuffer();
      Arrays.stream(all).forEach(joined::put);
      float[] weights = new float[count];
      joined.flip().get(weights);
      return weights;
    }
  }

  private static void step(
      ProcessGroup world,
      XlstmLanguageModel model,
      GradientReducer reducer,
      boolean plain,
      int rows,
      int length,
      int step) {
    var random = new Random(step);
    int vocabulary = model.config().vocabSize();
    int[] ids = random.ints((long) rows * (length + 1), 0, vocabulary).toArray();
    Shard share = world.share(rows);
    try (var _ = new PointerScope()) {
      Tensor tokens =
          Tensors.of(ids, rows, length + 1).narrow(0, share.from(), share.sequences()).contiguous();
      Tensor inputs = tokens.narrow(1, 0, length).contiguous();
      Tensor targets = tokens.narrow(1, 1, length).contiguous();
      model.training(true);
      Tensor loss =
          model
              .lossSum(inputs, targets, model.initialState(share.sequences()), SequenceLayout.FULL)
              .value()
              .mul(new Scalar(1.0 / ((double) rows * length)));
      model.parameters().zeroGradients();
      if (!plain) {
        reducer.begin();
      }
      loss.backward();
      reducer.finish();
    }
  }

  /// The default model, timed after some steps that warm up.
  private static void speed(ProcessGroup world, boolean plain) {
    var config = PaperModelConfig.of(4096, BlockStackConfig.of(4, 192, List.of(1)));
    Torch.seed(1);
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(config);
        var optimizer = Optimizers.adamW(model.parameters().byName(), model::decays, TRAINING);
        GradientReducer reducer = world.reducer(model.parameters())) {
      double[] seconds = new double[40];
      for (int step = 0; step < seconds.length; step++) {
        long began = System.nanoTime();
        step(world, model, reducer, plain, 16, 256, step);
        step(optimizer, 1e-3);
        seconds[step] = (System.nanoTime() - began) / 1e9;
      }
      double[] late = Arrays.copyOfRange(seconds, 15, seconds.length);
      Arrays.sort(late);
      if (world.isFirst()) {
        System.out.printf(
            "ranks %d, median %.1f ms, %.0f tokens/s%n",
            world.size(), late[late.length / 2] * 1e3, 16 * 256 / late[late.length / 2]);
      }
    }
  }

  /// Steps without end, with a stop at one phase where one rank waits to be killed.
  private static void phases(ProcessGroup world, String phase, int victim) {
    boolean isVictim = world.rank() == victim;
    Torch.seed(1);
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(Tiny.MODEL);
        GradientReducer reducer = world.reducer(model.parameters())) {
      step(world, model, reducer, false, 6, 8, 0);
      System.out.println("ready");
      for (int step = 1; ; step++) {
        if (phase.equals("forward") && isVictim) {
          while (true) {
            try (var _ = new PointerScope()) {
              model.forward(Tensors.of(new int[8], 1, 8));
            }
          }
        }
        step(world, model, reducer, false, 6, 8, step);
        if (phase.equals("checkpoint")) {
          if (world.isFirst()) {
            DaemonThreads.sleep(600); // as if it wrote a file
          }
          world.barrier();
        }
        if (world.any(false)) {
          return;
        }
      }
    }
  }

  private static void step(AdamW optimizer, double learningRate) {
    double norm = optimizer.gradientNorm();
    optimizer.step(learningRate, norm > 1 ? 1 / norm : 1);
  }
}
