package io.xlstm4j.runtime;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.SamplerConfig;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// A request to continue a prompt: how far and how.
///
/// @param prompt token ids; may be empty only to go on from a sequence that has logits. Not copied.
/// @param maxTokens maximum number of new tokens; default 128
/// @param ends ids that end the text and are not handed out; null for those that the model's folder
///   names (see [io.xlstm4j.core.checkpoint.SpecialTokens]); default null
/// @param sampler how the next token is chosen; default the likeliest
/// @param row number that, with the sampler's seed, decides chance: requests with another one draw
///   otherwise; default 0
/// @param vocabLimit only ids below it are chosen; 0 for all; default 0
/// @param decoder makes what turns ids into text; null for no text; default null
/// @param stops texts that end the text where they begin; need a decoder; default none
/// @param processors change the logits, in this order, before a token is chosen; default none
/// @param logProbabilities whether tokens carry their log-probability; default false
public record Request(
    int[] prompt,
    int maxTokens,
    @Nullable Set<Integer> ends,
    SamplerConfig sampler,
    long row,
    int vocabLimit,
    @Nullable Supplier<TextDecoder> decoder,
    List<String> stops,
    List<LogitsProcessor> processors,
    boolean logProbabilities) {
  public Request {
    Check.notNegative("maxTokens", maxTokens);
    Check.notNegative("vocabLimit", vocabLimit);
    ends = ends == null ? null : Set.copyOf(ends);
    stops = List.copyOf(stops);
    processors = List.copyOf(processors);
    if (!stops.isEmpty() && decoder == null) {
      throw new IllegalArgumentException("stops need a decoder: without text none is ever found");
    }
    if (stops.contains("")) {
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
        prompt, most, ends, sampler, row, vocabLimit, decoder, stops, processors, logProbabilities);
  }

  /// @param ids empty for a text that only `maxTokens` or a stop string ends
  public Request withEnds(Set<Integer> ids) {
    return new Request(
        prompt,
        maxTokens,
        ids,
        sampler,
        row,
        vocabLimit,
        decoder,
        stops,
        processors,
        logProbabilities);
  }

  public Request withSampler(SamplerConfig config) {
    return new Request(
        prompt,
        maxTokens,
        ends,
        config,
        row,
        vocabLimit,
        decoder,
        stops,
        processors,
        logProbabilities);
  }

  public Request withRow(long number) {
    return new Request(
        prompt,
        maxTokens,
        ends,
        sampler,
        number,
        vocabLimit,
        decoder,
        stops,
        processors,
        logProbabilities);
  }

  public Request withVocabLimit(int limit) {
    return new Request(
        prompt, maxTokens, ends, sampler, row, limit, decoder, stops, processors, logProbabilities);
  }

  public Request withDecoder(Supplier<TextDecoder> maker) {
    return new Request(
        prompt,
        maxTokens,
        ends,
        sampler,
        row,
        vocabLimit,
        maker,
        stops,
        processors,
        logProbabilities);
  }

  public Request withStops(List<String> texts) {
    return new Request(
        prompt,
        maxTokens,
        ends,
        sampler,
        row,
        vocabLimit,
        decoder,
        texts,
        processors,
        logProbabilities);
  }

  public Request withProcessors(List<LogitsProcessor> all) {
    return new Request(
        prompt, maxTokens, ends, sampler, row, vocabLimit, decoder, stops, all, logProbabilities);
  }

  public Request withLogProbabilities(boolean wanted) {
    return new Request(
        prompt, maxTokens, ends, sampler, row, vocabLimit, decoder, stops, processors, wanted);
  }
}
