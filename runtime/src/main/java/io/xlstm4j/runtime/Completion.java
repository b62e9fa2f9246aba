package io.xlstm4j.runtime;

import io.xlstm4j.core.Sampler;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// One request on its way, or done. [#cancel] may be called by any thread.
public final class Completion {
  /// Why a completion ended.
  public enum End {
    /// one of the request's end ids, or of the model's, was chosen
    END_TOKEN,
    /// a stop string came
    STOP_STRING,
    MAX_TOKENS,
    CANCELLED
  }

  /// Called with each token as it is chosen, on the thread that runs the [Generation].
  @FunctionalInterface
  public interface Listener {
    void onToken(Token token);

    /// Nothing more comes.
    ///
    /// @param text that was held back
    default void onEnd(End end, String text) {}
  }

  private final Request request;
  private final Listener listener;
  private final Row row;
  private final boolean ownsRow;
  private final Sampler sampler;
  private final Set<Integer> ends;
  private final @Nullable TextDecoder decoder;
  private final StopText text;
  private IntBuffer ids;
  private int added;
  private @Nullable End end;
  private volatile boolean cancelled;

  Completion(Request request, Listener listener, Row row, boolean ownsRow) {
    this.request = request;
    this.listener = listener;
    this.row = row;
    this.ownsRow = ownsRow;
    sampler = new Sampler(request.sampler());
    Set<Integer> wanted = request.ends();
    ends = wanted == null ? row.model().specialTokens().stops(OptionalInt.empty()) : wanted;
    decoder = request.decoder() == null ? null : request.decoder().get();
    text = new StopText(request.stops());
    int[] prompt = request.prompt();
    int room = prompt.length + Math.min(request.maxTokens(), 1024);
    ids = IntBuffer.wrap(Arrays.copyOf(prompt, room), 0, prompt.length);
  }

  /// Asks for an end: no token comes after the step under way. Does nothing once it is done.
  public void cancel() {
    cancelled = true;
  }

  /// Why it ended, or null while it has not.
  public @Nullable End end() {
    return end;
  }

  /// The tokens that were added so far.
  public int[] tokens() {
    int from = request.prompt().length;
    return Arrays.copyOfRange(ids.array(), from, from + added);
  }

  Row row() {
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
      return finish(End.CANCELLED);
    }
    if (added == request.maxTokens()) {
      return finish(End.MAX_TOKENS);
    }
    float[] logits = row.logits();
    float[] processed = sampling.process(request, logits, ids);
    int limit = request.vocabLimit() == 0 ? logits.length : request.vocabLimit();
    int id = sample(processed, limit, sampling);
    if (ends.contains(id)) {
      return finish(End.END_TOKEN);
    }
    append(id);
    double logProbability =
        request.logProbabilities() ? Sampling.logProbability(logits, id) : Double.NaN;
    String shown = decoder == null ? "" : text.add(decoder.next(id));
    listener.onToken(new Token(id, shown, logProbability));
    if (text.stopped()) {
      return finish(End.STOP_STRING);
    }
    if (added == request.maxTokens()) { // before a step whose logits nobody would read
      return finish(End.MAX_TOKENS);
    }
    return true;
  }

  private int sample(float[] logits, int limit, Sampling sampling) {
    try {
      return sampler.sample(logits, limit, ids, request.row(), added, sampling.samplerWorkspace());
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
    return decoder == null ? "" : text.add(decoder.finish()) + text.rest();
  }

  /// Ends it, if it has not ended yet.
  ///
  /// @return false
  boolean finish(End reason) {
    if (end == null) {
      end = reason;
      if (ownsRow) {
        row.close();
      }
      listener.onEnd(reason, reason == End.STOP_STRING ? "" : heldBack());
    }
    return false;
  }
}
