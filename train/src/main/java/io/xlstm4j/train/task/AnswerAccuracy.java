package io.xlstm4j.train.task;

import io.xlstm4j.text.Batch;
import io.xlstm4j.text.BatchSource;
import io.xlstm4j.torch.Tensors;
import io.xlstm4j.torch.XlstmLanguageModel;
import java.util.function.BooleanSupplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;

/// The share of targets whose likeliest token is right, over questions of one sequence each.
final class AnswerAccuracy {
  private AnswerAccuracy() {}

  /// @param maxTokens stop after about so many positions; 0 for all questions
  /// @param stop asked before every batch; ends the measurement
  /// @return summed cross entropy in nats, answers, right ones
  static Task.Tally tally(
      XlstmLanguageModel model,
      BatchSource questions,
      long maxTokens,
      Task.Shard share,
      BooleanSupplier stop) {
    int from = share.from(questions.sequences());
    int to = share.to(questions.sequences());
    double[] sums = new double[3];
    long left = questions.targetsPerEpoch();
    long positions = 0;
    for (long number = 0;
        left > 0 && (maxTokens == 0 || positions < maxTokens) && !stop.getAsBoolean();
        number++, left -= questions.sequences()) {
      int end = (int) Math.min(to, left); // the last batch may come round again
      if (from < end) {
        add(sums, model, questions.sequences(number, from, end));
      }
      positions += (long) questions.sequences() * questions.length();
    }
    return new Task.Tally(sums);
  }

  private static void add(double[] sums, XlstmLanguageModel model, Batch batch) {
    int vocab = model.vocabSize();
    float[] logits;
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      logits =
          Tensors.floats(
              model.forward(Tensors.of(batch.inputs(), batch.sequences(), batch.length())));
    }
    for (int at = 0; at < batch.targets().length; at++) {
      int target = batch.targets()[at];
      if (target != Batch.IGNORED) {
        sums[0] += nats(logits, at * vocab, vocab, target);
        sums[1]++;
        sums[2] += likeliest(logits, at * vocab, vocab) == target ? 1 : 0;
      }
    }
  }

  private static double nats(float[] logits, int from, int vocab, int target) {
    double highest = logits[from + likeliest(logits, from, vocab)];
    double sum = 0;
    for (int id = 0; id < vocab; id++) {
      sum += Math.exp(logits[from + id] - highest);
    }
    return Math.log(sum) + highest - logits[from + target];
  }

  private static int likeliest(float[] logits, int from, int vocab) {
    int best = 0;
    for (int id = 1; id < vocab; id++) {
      best = logits[from + id] > logits[from + best] ? id : best;
    }
    return best;
  }
}
