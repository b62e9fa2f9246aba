package io.xlstm4j.core;

import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/// Continues prompts token by token: prefill each, then steps of all sequences that are not done
/// yet.
public final class Generator {
  private final LanguageModel model;
  private final Options options;
  private final Sampler sampler;

  /// @param model stays the caller's; not closed here
  public Generator(LanguageModel model, Options options) {
    if (options.vocabLimit > model.vocabSize()) {
      throw new IllegalArgumentException(
          "vocabLimit (%d) must be at most the model's vocabSize (%d)"
              .formatted(options.vocabLimit, model.vocabSize()));
    }
    this.model = model;
    this.options = options;
    this.sampler = new Sampler(options.sampler);
  }

  /// @param maxTokens maximum number of new tokens
  /// @param vocabLimit only ids below it are chosen: those the tokenizer knows
  /// @param ends the ids that end a sequence; they are not handed out
  /// @param sampler how the next token is chosen
  public record Options(int maxTokens, int vocabLimit, Set<Integer> ends, SamplerConfig sampler) {
    public Options {
      Check.notNegative("maxTokens", maxTokens);
      Check.positive("vocabLimit", vocabLimit);
      ends = Set.copyOf(ends);
    }

    /// The same with one id that ends a sequence.
    public Options(int maxTokens, int vocabLimit, int endOfText, SamplerConfig sampler) {
      this(maxTokens, vocabLimit, Set.of(endOfText), sampler);
    }
  }

  /// Why a sequence ended.
  public enum End {
    END_OF_TEXT,
    MAX_TOKENS,
    STOPPED
  }

  /// Called with each token as it is chosen.
  public interface Listener {
    /// @param row index of the prompt
    /// @return false to stop this sequence
    boolean onToken(int row, int id);

    /// A sequence is done; no more of its tokens come.
    default void onEnd(int row, End end) {}
  }

  /// Continues every prompt to its end. A sequence's tokens do not depend on the order of sampling.
  ///
  /// @param prompts token ids, at least one each
  public void generate(List<int[]> prompts, Listener listener) {
    var rows = new ArrayList<Row>();
    for (int i = 0; i < prompts.size(); i++) {
      int[] prompt = prompts.get(i);
      var prediction = model.prefill(prompt, model.initialState());
      rows.add(new Row(i, prompt, options.maxTokens, prediction));
    }
    while (true) {
      rows.removeIf(row -> isDone(row, listener));
      if (rows.isEmpty()) {
        return;
      }
      int[] ids = rows.stream().mapToInt(Row::last).toArray();
      var next = model.step(ids, rows.stream().map(row -> row.prediction.state()).toList());
      for (int i = 0; i < rows.size(); i++) {
        rows.get(i).prediction = next.get(i);
      }
    }
  }

  /// Chooses the sequence's next token and says whether it was the last.
  private boolean isDone(Row row, Listener listener) {
    if (row.added == options.maxTokens) {
      listener.onEnd(row.index, End.MAX_TOKENS);
      return true;
    }
    int id =
        sampler.sample(
            row.prediction.logits(), options.vocabLimit, row.seen(), row.index, row.added);
    if (options.ends.contains(id)) {
      listener.onEnd(row.index, End.END_OF_TEXT);
      return true;
    }
    row.add(id);
    if (!listener.onToken(row.index, id)) {
      listener.onEnd(row.index, End.STOPPED);
      return true;
    }
    if (row.added == options.maxTokens) { // before a step whose logits nobody would read
      listener.onEnd(row.index, End.MAX_TOKENS);
      return true;
    }
    return false;
  }

  /// One prompt on its way.
  private static final class Row {
    private final int index;
    private int[] ids;
    private int count;
    private int added;
    private LanguageModel.Prediction prediction;

    Row(int index, int[] prompt, int maxTokens, LanguageModel.Prediction prediction) {
      this.index = index;
      this.ids = Arrays.copyOf(prompt, prompt.length + Math.min(maxTokens, 1024));
      this.count = prompt.length;
      this.prediction = prediction;
    }

    void add(int id) {
      if (count == ids.length) {
        ids = Arrays.copyOf(ids, 2 * count);
      }
      ids[count++] = id;
      added++;
    }

    int last() {
      return ids[count - 1];
    }

    IntBuffer seen() {
      return IntBuffer.wrap(ids, 0, count);
    }
  }
}
