package io.xlstm4j.runtime;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.SamplerConfig;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// A prompt of token ids, and how it is continued.
///
/// @param prompt token ids; may be empty only to go on from a row that has logits. Not copied.
/// @param maxTokens most tokens to add; default 128
/// @param endTokens ids that end the text and are not handed out; null for those that the model's
///   folder names (see [io.xlstm4j.core.checkpoint.SpecialTokens]); default null
/// @param sampler how the next token is chosen; default the likeliest
/// @param stream number of the stream of random numbers: with the sampler's seed it determines what
///   is drawn; default 0
/// @param vocabLimit only ids below it are chosen; 0 for all; default 0
/// @param decoder makes what turns ids into text; null for no text; default null
/// @param stopStrings texts that end the text where they begin; need a decoder; default none
/// @param processors change the logits, in this order, before a token is chosen; default none
/// @param logProbabilities whether tokens carry their log-probability; default false
public record Request(
    int[] prompt,
    int maxTokens,
    @Nullable Set<Integer> endTokens,
    SamplerConfig sampler,
    long stream,
    int vocabLimit,
    @Nullable Supplier<TextDecoder> decoder,
    List<String> stopStrings,
    List<LogitsProcessor> processors,
    boolean logProbabilities) {
  public Request {
    Check.notNegative("maxTokens", maxTokens);
    Check.notNegative("vocabLimit", vocabLimit);
    endTokens = endTokens == null ? null : Set.copyOf(endTokens);
    stopStrings = List.copyOf(stopStrings);
    processors = List.copyOf(processors);
    if (!stopStrings.isEmpty() && decoder == null) {
      throw new IllegalArgumentException(
          "stopStrings need a decoder: without text none is ever found");
    }
    if (stopStrings.contains("")) {
      throw new IllegalArgumentException("a stop string must not be empty");
    }
  }

  /// A request with every choice at its default.
  public static Request of(int... prompt) {
    return new Request(
        prompt, 128, null, SamplerConfig.GREEDY, 0, 0, null, List.of(), List.of(), false);
  }

  public Request withMaxTokens(int most) {
    return new Request(
        prompt,
        most,
        endTokens,
        sampler,
        stream,
        vocabLimit,
        decoder,
        stopStrings,
        processors,
        logProbabilities);
  }

  /// @param ids empty for a text that only `maxTokens` or a stop string endTokens
  public Request withEndTokens(Set<Integer> ids) {
    return new Request(
        prompt,
        maxTokens,
        ids,
        sampler,
        stream,
        vocabLimit,
        decoder,
        stopStrings,
        processors,
        logProbabilities);
  }

  public Request withSampler(SamplerConfig config) {
    return new Request(
        prompt,
        maxTokens,
        endTokens,
        config,
        stream,
        vocabLimit,
        decoder,
        stopStrings,
        processors,
        logProbabilities);
  }

  public Request withStream(long number) {
    return new Request(
        prompt,
        maxTokens,
        endTokens,
        sampler,
        number,
        vocabLimit,
        decoder,
        stopStrings,
        processors,
        logProbabilities);
  }

  public Request withVocabLimit(int limit) {
    return new Request(
        prompt,
        maxTokens,
        endTokens,
        sampler,
        stream,
        limit,
        decoder,
        stopStrings,
        processors,
        logProbabilities);
  }

  public Request withDecoder(Supplier<TextDecoder> maker) {
    return new Request(
        prompt,
        maxTokens,
        endTokens,
        sampler,
        stream,
        vocabLimit,
        maker,
        stopStrings,
        processors,
        logProbabilities);
  }

  public Request withStopStrings(List<String> texts) {
    return new Request(
        prompt,
        maxTokens,
        endTokens,
        sampler,
        stream,
        vocabLimit,
        decoder,
        texts,
        processors,
        logProbabilities);
  }

  public Request withProcessors(List<LogitsProcessor> all) {
    return new Request(
        prompt,
        maxTokens,
        endTokens,
        sampler,
        stream,
        vocabLimit,
        decoder,
        stopStrings,
        all,
        logProbabilities);
  }

  public Request withLogProbabilities(boolean wanted) {
    return new Request(
        prompt,
        maxTokens,
        endTokens,
        sampler,
        stream,
        vocabLimit,
        decoder,
        stopStrings,
        processors,
        wanted);
  }
}
