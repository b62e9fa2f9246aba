package io.xlstm4j.runtime;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Completions that advance together, a token each per step. A completion may join between any two
/// steps, and leaves when it is done; its tokens do not depend on the others.
///
/// One thread adds and steps; any thread may cancel.
///
/// ```java
/// try (var generation = new Generation(model)) {
///   generation.add(Request.of(ids), token -> print(token.text()));
///   generation.run();
/// }
/// ```
public final class Generation implements AutoCloseable {
  /// Tokens of a prompt between two looks at whether it was cancelled.
  private static final int PIECE = 256;

  private final RuntimeModel model;
  private final Sampling sampling = new Sampling();
  private final List<Completion> joining = new ArrayList<>();
  private final List<Completion> live = new ArrayList<>();
  private int[] ids = new int[1];
  private Sequence[] rows = new Sequence[1];

  /// @param model stays the caller's; not closed here
  public Generation(RuntimeModel model) {
    this.model = model;
  }

  /// Adds a request. Its prompt is read at the next step.
  ///
  /// @throws IllegalArgumentException if the prompt is empty or does not fit the model
  public Completion add(Request request, Completion.Listener listener) {
    if (request.prompt().length == 0) {
      throw new IllegalArgumentException("a prompt needs at least one token id");
    }
    checkFits(request);
    return join(new Completion(request, listener, model.newSequence(), true));
  }

  /// Adds a request that goes on where a sequence stands. The sequence is changed in place, stands
  /// after the last token but one at the end, and stays the caller's.
  ///
  /// @param request its prompt may be empty if the sequence has logits
  public Completion add(Request request, Sequence row, Completion.Listener listener) {
    row.requireOf(model);
    if (request.prompt().length == 0 && !row.hasLogits()) {
      throw new IllegalArgumentException("an empty prompt needs a row that has logits");
    }
    checkFits(request);
    return join(new Completion(request, listener, row, false));
  }

  private Completion join(Completion completion) {
    joining.add(completion);
    return completion;
  }

  private void checkFits(Request request) {
    for (int id : request.prompt()) {
      if (id < 0 || id >= model.vocabSize()) {
        throw new IllegalArgumentException(
            "token id (%d) must be in [0, vocabSize (%d))".formatted(id, model.vocabSize()));
      }
    }
    if (request.vocabLimit() > model.vocabSize()) {
      throw new IllegalArgumentException(
          "vocabLimit (%d) must be at most the model's vocabSize (%d)"
              .formatted(request.vocabLimit(), model.vocabSize()));
    }
  }

  /// Reads the prompts that are new, advances the others by a token, and chooses the next token of
  /// each.
  ///
  /// @return whether any completion goes on
  public boolean step() {
    advance();
    int kept = 0;
    for (int i = 0; i < live.size(); i++) { // no iterator: nothing is allocated per token
      Completion completion = live.get(i);
      if (completion.choose(sampling)) {
        live.set(kept++, completion);
      }
    }
    cut(kept);
    while (!joining.isEmpty()) { // a listener may add more meanwhile
      begin(joining.removeFirst());
    }
    return !live.isEmpty();
  }

  private void begin(Completion completion) {
    try {
      if (prefill(completion) && completion.choose(sampling)) {
        live.add(completion);
      }
    } catch (RuntimeException | Error e) {
      completion.finish(FinishReason.CANCELLED);
      throw e;
    }
  }

  /// Steps until every completion is done.
  public void run() {
    while (step()) {}
  }

  private void advance() {
    int kept = 0;
    for (int i = 0; i < live.size(); i++) {
      Completion completion = live.get(i);
      if (completion.isCancelled()) {
        completion.finish(FinishReason.CANCELLED);
      } else {
        live.set(kept++, completion);
      }
    }
    cut(kept);
    if (kept == 0) {
      return;
    }
    if (ids.length < kept) {
      ids = new int[2 * kept];
      rows = new Sequence[2 * kept];
    }
    for (int i = 0; i < kept; i++) {
      ids[i] = live.get(i).lastId();
      rows[i] = live.get(i).row();
    }
    model.step(ids, rows, kept);
  }

  private void cut(int kept) {
    for (int i = live.size() - 1; i >= kept; i--) {
      live.remove(i);
    }
  }

  private boolean prefill(Completion completion) {
    int[] prompt = completion.request().prompt();
    for (int from = 0; from < prompt.length; from += PIECE) {
      if (completion.isCancelled()) {
        return completion.finish(FinishReason.CANCELLED);
      }
      int end = Math.min(prompt.length, from + PIECE);
      model.prefill(completion.row(), Arrays.copyOfRange(prompt, from, end));
    }
    return true;
  }

  /// Cancels what is not done, and frees the sequences.
  @Override
  public void close() {
    for (Completion completion : live) {
      completion.finish(FinishReason.CANCELLED);
    }
    for (Completion completion : joining) {
      completion.finish(FinishReason.CANCELLED);
    }
    live.clear();
    joining.clear();
  }
}
