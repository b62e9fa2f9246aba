package io.xlstm4j.cli;

import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.train.Evaluation;
import io.xlstm4j.train.Trainer;
import io.xlstm4j.train.TrainingListener;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;

/// What a person sees of a run: a progress line in a terminal, a line for each validation, samples.
final class TrainingReport implements TrainingListener {
  private static final double SMOOTHING = 0.9;

  private final PrintWriter out;
  private final ProgressLine progress;
  private int steps;
  private double loss = Double.NaN;
  private double secondsPerStep = Double.NaN;

  TrainingReport(PrintWriter out, boolean interactive) {
    this.out = out;
    this.progress = new ProgressLine(out, interactive);
  }

  @Override
  public void onPreparing(String what) {
    print(what + " ...");
  }

  @Override
  public void onStart(RunSummary summary, int startStep) {
    ModelConfig model = summary.config().model();
    steps = summary.config().training().steps();
    print(
        format(
            "%,d parameters: %d blocks (%s), width %d, context %d",
            summary.parameters(),
            model.numBlocks(),
            switch (model) {
              case PaperModelConfig paper -> "sLSTM at " + paper.blockStack().slstmAt();
              case LargeModelConfig _ -> "xLSTM Large";
            },
            model.embeddingDim(),
            model.contextLength()));
    long perStep = (long) summary.config().training().batchSize() * model.contextLength();
    print(
        format(
            "%s: %,d tokens to train on, %,d to validate; %d steps of %,d tokens, %.2f epochs",
            summary.corpus(),
            summary.trainTokens(),
            summary.validationTokens(),
            steps,
            perStep,
            (double) steps * perStep / summary.trainTokens()));
    if (startStep > 0) {
      print("going on after step " + startStep);
    }
  }

  @Override
  public void onStep(Step step) {
    double seconds = (double) tokensOf(step) / step.tokensPerSecond();
    loss = Double.isNaN(loss) ? step.loss() : SMOOTHING * loss + (1 - SMOOTHING) * step.loss();
    secondsPerStep =
        Double.isNaN(secondsPerStep)
            ? seconds
            : SMOOTHING * secondsPerStep + (1 - SMOOTHING) * seconds;
    progress.show(
        step.number(),
        steps,
        format(
            "loss %.3f  %,.0f tokens/s  %s left",
            loss,
            tokensOf(step) / secondsPerStep,
            ProgressLine.duration(secondsPerStep * (steps - step.number()))));
  }

  private static long tokensOf(Step step) {
    return step.tokens() / step.number(); // every step has as many
  }

  @Override
  public void onValidation(int step, Evaluation.Result result) {
    print(
        format(
            "step %d: validation loss %.4f, %.3f bits per byte",
            step, result.loss(), result.bitsPerByte()));
  }

  @Override
  public void onSamples(int step, List<Sample> samples) {
    for (Sample sample : samples) {
      print("  | " + sample.prompt() + sample.text().replaceAll("\\s*\\R\\s*", " "));
    }
  }

  /// The last lines of a run.
  void onFinished(Trainer.Result result) {
    Evaluation.Result best = result.validation();
    print(
        result.stopped()
            ? format(
                "stopped after step %d; best validation so far: loss %.4f, %.3f bits per byte",
                result.steps(), best.loss(), best.bitsPerByte())
            : format(
                "done after step %d: validation loss %.4f, perplexity %.2f, %.3f bits per byte",
                result.steps(), best.loss(), best.perplexity(), best.bitsPerByte()));
    print(
        result.stopped()
            ? "go on with: xlstm train --resume --out " + result.folder()
            : "write with: xlstm generate --model " + result.folder() + " --prompt \"...\"");
  }

  private void print(String line) {
    progress.clear();
    out.println(line);
    out.flush();
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
