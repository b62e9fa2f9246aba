package io.xlstm4j.runtime;

import io.xlstm4j.core.Sampler;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The continuation of one request, unfinished until [#isDone]. [#cancel] may be called by any
/// thread, everything else by the thread that runs the [Generation].
public final class Completion {
  /// Receives each token as it is chosen, on the thread that runs the [Generation].
  @FunctionalInterface
  public interface Listener {
    void onToken(Token token);

    /// Is called once, after the last token.
    ///
    /// @param text that was held back
    default void onEnd(FinishReason reason, String text) {}
  }

  private final Request request;
  private final Listener listener;
  private final Sequence row;
  private final boolean ownsRow;
  private final Sampler sampler;
  private final Set<Integer> endTokens;
  private final @Nullable TextDecoder decoder;
  private final StopText stopText;
  private final StringBuilder text = new StringBuilder();
  private IntBuffer ids;
  private int added;
  private @Nullable FinishReason finishReason;
  private volatile boolean cancelled;

  Completion(Request request, Listener listener, Sequence row, boolean ownsRow) {
    this.request = request;
    this.listener = listener;
    this.row = row;
    this.ownsRow = ownsRow;
    sampler = new Sampler(request.sampler());
    Set<Integer> wanted = request.endTokens();
    endTokens = wanted == null ? row.model().specialTokens().stops(OptionalInt.empty()) : wanted;
    decoder = request.decoder() == null ? null : request.decoder().get();
    stopText = new StopText(request.stopStrings());
    int[] prompt = request.prompt();
    int room = prompt.length + Math.min(request.maxTokens(), 1024);
    ids = IntBuffer.wrap(Arrays.copyOf(prompt, room), 0, prompt.length);
  }

  /// Asks for an end: no token comes after the step under way. Does nothing once it is done.
  public void cancel() {
    cancelled = true;
  }

  /// Returns whether no more tokens come.
  public boolean isDone() {
    return finishReason != null;
  }

  /// Returns why generation ended.
  ///
  /// @throws IllegalStateException if it has not ended yet
  public FinishReason finishReason() {
    if (finishReason == null) {
      throw new IllegalStateException("the completion is not done; run its Generation");
    }
    return finishReason;
  }

  /// Returns the text that was added and can be shown so far: without the prompt, without a stop
  /// string; empty if the request has no decoder.
  public String text() {
    return text.toString();
  }

  /// Returns how it stands, with the text, for messages.
  @Override
  public String toString() {
    return "Completion[%s, %d tokens, text=%s]"
        .formatted(finishReason == null ? "unfinished" : finishReason, added, text);
  }

  /// Returns the ids that were added so far, without the prompt and the token that ended the text.
  public int[] tokens() {
    int from = request.prompt().length;
    return Arrays.copyOfRange(ids.array(), from, from + added);
  }

  Sequence row() {
    return row;
  }

  Request request() {
    return request;
  }

  boolean isCancelled() {
    return cancelled;
  }

  int lastId() {
    return ids.get(ids.limit() - 1);
  }

  /// Chooses the next token from the sequence's logits and reports it.
  ///
  /// @return whether another step is needed
  boolean choose(Sampling sampling) {
    if (cancelled) {
      return finish(FinishReason.CANCELLED);
    }
    if (added == request.maxTokens()) {
      return finish(FinishReason.MAX_TOKENS);
    }
    float[] logits = row.logits();
    float[] processed = sampling.process(request, logits, ids);
    int limit = request.vocabLimit() == 0 ? logits.length : request.vocabLimit();
    int id = sample(processed, limit, sampling);
    if (endTokens.contains(id)) {
      return finish(FinishReason.END_OF_TEXT);
    }
    append(id);
    double logProbability =
        request.logProbabilities() ? Sampling.logProbability(logits, id) : Double.NaN;
    String shown = decoder == null ? "" : stopText.add(decoder.next(id));
    text.append(shown);
    listener.onToken(new Token(id, shown, logProbability));
    if (stopText.stopped()) {
      return finish(FinishReason.STOP_STRING);
    }
    if (added == request.maxTokens()) { // before a step whose logits nobody would read
      return finish(FinishReason.MAX_TOKENS);
    }
    return true;
  }

  private int sample(float[] logits, int limit, Sampling sampling) {
    try {
      return sampler.sample(
          logits, limit, ids, request.stream(), added, sampling.samplerWorkspace());
    } catch (IllegalArgumentException e) {
      row.model().requireFiniteWeights(); // of a large model they were not looked through before
      throw e;
    }
  }

  private void append(int id) {
    int count = ids.limit();
    if (count == ids.capacity()) {
      ids = IntBuffer.wrap(Arrays.copyOf(ids.array(), 2 * count));
    }
    ids.limit(count + 1);
    ids.put(count, id);
    added++;
  }

  /// Text that nobody has seen. A stop string may still come to light in it.
  private String heldBack() {
    return decoder == null ? "" : stopText.add(decoder.finish()) + stopText.rest();
  }

  /// Ends it, if it has not ended yet.
  ///
  /// @return false
  boolean finish(FinishReason reason) {
    if (finishReason == null) {
      finishReason = reason;
      if (ownsRow) {
        row.close();
      }
      String rest = reason == FinishReason.STOP_STRING ? "" : heldBack();
      text.append(rest);
      listener.onEnd(reason, rest);
    }
    return false;
  }
}
