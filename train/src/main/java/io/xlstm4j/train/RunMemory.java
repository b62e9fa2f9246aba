package io.xlstm4j.train;

import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.torch.ActivationMemory;
import io.xlstm4j.torch.Backend;
import io.xlstm4j.torch.Precision;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.TrainingConfig;

/// Estimates the most memory that a run takes in one process; docs/training.md, "Memory", has what
/// the constants were measured by.
///
/// @param program bytes of Java and libtorch without a model
/// @param model bytes of weights, gradients, moments and EMA weights, and of their copy while a
///   state is written
/// @param activations bytes of the forward and backward pass of a micro-batch
public record RunMemory(long program, long model, long activations) {
  private static final long PROGRAM = 420L << 20;

  /// Resident bytes for a byte that activations need: what the C library holds back between blocks
  /// that come and go. The launcher makes it keep them, which is faster.
  private static final double HELD_BACK = 2.1;

  /// Estimates a run that was opened.
  public static RunMemory of(LiveRun run) {
    RunConfig config = run.config();
    TrainingConfig training = config.training();
    boolean onCpu = config.device().equals("cpu");
    boolean fused =
        onCpu && config.backend() == Backend.FUSED && training.precision() == Precision.FLOAT32;
    var batch =
        new ActivationMemory(
            training.batchSize() / training.gradientAccumulationSteps(),
            (int) (run.task().tokensPerStep() / training.batchSize()),
            fused,
            training.activationCheckpointing());
    long activations =
        config.series() != null && config.model() instanceof PaperModelConfig paper
            ? batch.of(paper.blockStack())
            : batch.of(sized(config.model(), run.task().vocabulary()));
    long weights = run.task().parameters().count() * Float.BYTES;
    int averages = config.optimizer().emaDecay() > 0 ? 1 : 0;
    int copies = 4 + averages; // weights, gradients, two moments, EMA weights
    int written = 3 + averages; // all but the gradients
    return new RunMemory(
        onCpu ? PROGRAM : 0,
        weights * (copies + written),
        (long) (activations * (onCpu ? HELD_BACK : 1)));
  }

  private static ModelConfig sized(ModelConfig model, int vocabulary) {
    return switch (model) {
      case PaperModelConfig paper -> paper.withVocabSize(vocabulary);
      case LargeModelConfig large -> large.withVocabulary(vocabulary, 0);
    };
  }

  /// All of it, in bytes.
  public long total() {
    return program + model + activations;
  }
}
