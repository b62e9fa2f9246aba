package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.Generator;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.core.safetensors.DType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GenerationTest {
  private static final SamplerConfig RANDOM = new SamplerConfig(1, 0, 0.95, 0, 1.1, 42);

  /// Each id is a letter.
  private static String letter(int id) {
    return Character.toString('a' + id % 26);
  }

  @TempDir private Path temporary;
  private RuntimeModel model;

  @BeforeEach
  void open() {
    model = RuntimeModel.open(Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary), 2);
  }

  @AfterEach
  void close() {
    model.close();
  }

  /// Keeps all it hears.
  private static final class Recorder implements Completion.Listener {
    private final List<Token> tokens = new ArrayList<>();
    private final StringBuilder text = new StringBuilder();
    private final List<FinishReason> ends = new ArrayList<>();

    @Override
    public void onToken(Token token) {
      tokens.add(token);
      text.append(token.text());
    }

    @Override
    public void onEnd(FinishReason end, String rest) {
      ends.add(end);
      text.append(rest);
    }

    int[] ids() {
      return tokens.stream().mapToInt(Token::id).toArray();
    }
  }

  private Recorder run(Request request) {
    var recorder = new Recorder();
    try (var generation = new Generation(model)) {
      Completion completion = generation.add(request, recorder);
      generation.run();
      assertThat(recorder.ends).containsExactly(completion.finishReason());
      assertThat(completion.tokens()).containsExactly(recorder.ids());
    }
    return recorder;
  }

  @Test
  void tokens_are_those_of_the_generator_over_states_as_values() {
    for (SamplerConfig config : List.of(SamplerConfig.GREEDY, RANDOM)) {
      List<int[]> prompts = List.of(new int[] {5, 6, 7}, new int[] {9});
      var expected = new ArrayList<List<Integer>>();
      prompts.forEach(_ -> expected.add(new ArrayList<>()));
      new Generator(model, new Generator.Options(20, 120, -1, config))
          .generate(prompts, (row, id) -> expected.get(row).add(id));
      for (int row = 0; row < prompts.size(); row++) {
        Recorder actual =
            run(
                Request.of(prompts.get(row))
                    .withEndTokens(Set.of())
                    .withMaxTokens(20)
                    .withVocabLimit(120)
                    .withSampler(config)
                    .withStream(row));
        assertThat(Arrays.stream(actual.ids()).boxed().toList()).isEqualTo(expected.get(row));
        assertThat(actual.ends).containsExactly(FinishReason.MAX_TOKENS);
      }
    }
  }

  @Test
  void neighbours_that_join_leave_or_are_cancelled_change_nothing() {
    Request request = Request.of(1, 2, 3).withMaxTokens(30).withSampler(RANDOM);
    int[] alone = run(request).ids();
    var recorder = new Recorder();
    try (var generation = new Generation(model)) {
      generation.add(Request.of(7, 7).withMaxTokens(3), new Recorder());
      generation.step();
      generation.add(request, recorder);
      Completion cancelled = generation.add(Request.of(8), new Recorder());
      for (int i = 0; i < 10; i++) {
        generation.step();
      }
      cancelled.cancel();
      generation.add(Request.of(9).withMaxTokens(100), new Recorder());
      while (recorder.ends.isEmpty()) {
        generation.step();
      }
      assertThat(cancelled.finishReason()).isEqualTo(FinishReason.CANCELLED);
    }
    assertThat(recorder.ids()).containsExactly(alone);
  }

  @Test
  void another_thread_cancels_within_one_step() throws InterruptedException {
    var third = new CountDownLatch(1);
    var cancelled = new CountDownLatch(1);
    var tokens = new ArrayList<Token>();
    try (var generation = new Generation(model)) {
      Completion completion =
          generation.add(
              Request.of(1).withMaxTokens(1_000_000),
              token -> {
                tokens.add(token);
                if (tokens.size() == 3) {
                  third.countDown();
                  await(cancelled);
                }
              });
      var canceller =
          Thread.ofPlatform()
              .start(() -> {
                await(third);
                completion.cancel();
                cancelled.countDown();
              });
      generation.run();
      canceller.join();
      assertThat(completion.finishReason()).isEqualTo(FinishReason.CANCELLED);
      assertThat(tokens).hasSize(3);
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void an_end_id_ends_the_text_and_is_not_handed_out() {
    Request request = Request.of(1, 2, 3).withMaxTokens(12);
    int[] free = run(request).ids();
    int last = free[5];
    int first = 0;
    while (free[first] != last) {
      first++;
    }
    Recorder ended = run(request.withEndTokens(Set.of(last)));
    assertThat(ended.ids()).containsExactly(Arrays.copyOf(free, first));
    assertThat(ended.ends).containsExactly(FinishReason.END_OF_TEXT);
  }

  @Test
  void a_stop_string_ends_the_text_before_it_also_across_tokens() {
    Request request =
        Request.of(1, 2, 3)
            .withMaxTokens(12)
            .withSampler(RANDOM)
            .withDecoder(() -> GenerationTest::letter);
    String free = run(request).text.toString();
    assertThat(free).hasSize(12);
    String stop = free.substring(5, 8);
    Recorder stopped = run(request.withStopStrings(List.of("?", stop, stop + "!")));
    assertThat(stopped.text.toString()).isEqualTo(free.substring(0, free.indexOf(stop)));
    assertThat(stopped.ends).containsExactly(FinishReason.STOP_STRING);
    // a beginning that never becomes a whole stop string is shown in the end
    Recorder whole = run(request.withStopStrings(List.of(free.substring(9) + "!")));
    assertThat(whole.text.toString()).isEqualTo(free);
    assertThat(whole.ends).containsExactly(FinishReason.MAX_TOKENS);
  }

  @Test
  void processors_forbid_ids_and_leave_the_rows_logits_alone() {
    int usual = run(Request.of(4).withMaxTokens(1)).ids()[0];
    var seen = new ArrayList<Integer>();
    LogitsProcessor forbid =
        (logits, history) -> {
          seen.add(history.remaining());
          logits[usual] = Float.NEGATIVE_INFINITY;
        };
    Recorder other = run(Request.of(4).withMaxTokens(3).withProcessors(List.of(forbid)));
    assertThat(other.ids()).doesNotContain(usual);
    assertThat(seen).containsExactly(1, 2, 3);
    assertThat(run(Request.of(4).withMaxTokens(1)).ids()).containsExactly(usual);
  }

  @Test
  void log_probabilities_are_those_of_the_model() {
    Token token = run(Request.of(4).withMaxTokens(1).withLogProbabilities(true)).tokens.getFirst();
    try (Sequence row = model.newSequence()) {
      model.prefill(row, 4);
      double sum = 0;
      for (float logit : row.logits()) {
        sum += Math.exp(logit);
      }
      double expected = row.logits()[token.id()] - Math.log(sum);
      assertThat(token.logProbability()).isCloseTo(expected, within(1e-9));
    }
    assertThat(run(Request.of(4).withMaxTokens(1)).tokens.getFirst().logProbability()).isNaN();
  }

  @Test
  void a_row_can_be_continued_and_stays_the_callers() {
    int[] whole = run(Request.of(1, 2, 3).withMaxTokens(8)).ids();
    try (Sequence row = model.newSequence();
        var generation = new Generation(model)) {
      model.prefill(row, 1, 2, 3);
      var first = new Recorder();
      generation.add(Request.of().withMaxTokens(4), row, first);
      generation.run();
      assertThat(first.ids()).containsExactly(Arrays.copyOf(whole, 4));
      assertThat(row.position()).isEqualTo(6); // the last token was not read
      var second = new Recorder();
      generation.add(Request.of(whole[3]).withMaxTokens(4), row, second);
      generation.run();
      assertThat(second.ids()).containsExactly(Arrays.copyOfRange(whole, 4, 8));
    }
  }

  @Test
  void a_listener_may_add_the_next_request() {
    var second = new Recorder();
    try (var generation = new Generation(model)) {
      generation.add(
          Request.of(1).withMaxTokens(1),
          _ -> generation.add(Request.of(2).withMaxTokens(2), second));
      generation.run();
    }
    assertThat(second.tokens).hasSize(2);
  }

  @Test
  void no_token_at_all_is_possible() {
    Recorder none = run(Request.of(1).withMaxTokens(0));
    assertThat(none.tokens).isEmpty();
    assertThat(none.ends).containsExactly(FinishReason.MAX_TOKENS);
  }

  @Test
  void wrong_requests_are_refused() {
    try (Sequence fresh = model.newSequence();
        var generation = new Generation(model)) {
      Completion.Listener listener = _ -> {};
      assertThatThrownBy(() -> generation.add(Request.of(), listener))
          .hasMessageContaining("at least one");
      assertThatThrownBy(() -> generation.add(Request.of(), fresh, listener))
          .hasMessageContaining("a row that has logits");
      assertThatThrownBy(() -> generation.add(Request.of(1, 128), listener))
          .hasMessage("token id (128) must be in [0, vocabSize (128))");
      assertThatThrownBy(() -> generation.add(Request.of(1).withVocabLimit(129), listener))
          .hasMessageContaining("vocabLimit (129)");
      assertThatThrownBy(() -> Request.of(1).withStopStrings(List.of("a")))
          .hasMessageContaining("decoder");
      assertThatThrownBy(() -> Request.of(1).withMaxTokens(-1)).hasMessageContaining("maxTokens");
    }
  }
}
