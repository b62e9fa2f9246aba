package io.xlstm4j.cli;

import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.core.checkpoint.SpecialTokens;
import io.xlstm4j.runtime.Completion;
import io.xlstm4j.runtime.Generation;
import io.xlstm4j.runtime.Request;
import io.xlstm4j.runtime.RuntimeModel;
import io.xlstm4j.runtime.TextDecoder;
import io.xlstm4j.runtime.Token;
import io.xlstm4j.text.StreamDecoder;
import io.xlstm4j.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Generation in plain Java: nothing here or below loads libtorch.
final class RuntimeGeneration {
  private RuntimeGeneration() {}

  static void run(
      Path folder,
      List<String> prompts,
      int maxTokens,
      SamplerConfig sampler,
      List<String> stops,
      TextOutput output,
      Consumer<String> warn) {
    try (var model = RuntimeModel.open(folder);
        var tokenizer = ModelTokenizer.open(folder, model.checkpoint(), model.specialTokens());
        var generation = new Generation(model)) {
      SpecialTokens special = model.specialTokens();
      special.warnings().forEach(warn);
      OptionalInt end = ModelTokenizer.end(tokenizer);
      for (int row = 0; row < prompts.size(); row++) {
        Request request =
            Request.of(special.prompt(tokenizer.encode(prompts.get(row)), end))
                .withMaxTokens(maxTokens)
                .withEnds(special.stops(end))
                .withSampler(sampler)
                .withRow(row)
                .withVocabLimit(tokenizer.vocabSize())
                .withDecoder(() -> decoder(tokenizer))
                .withStops(stops);
        var printer = new Printer(output, row);
        printer.completion = generation.add(request, printer);
      }
      generation.run();
    }
  }

  private static TextDecoder decoder(Tokenizer tokenizer) {
    StreamDecoder decoder = tokenizer.streamDecoder();
    return new TextDecoder() {
      @Override
      public String next(int id) {
        return decoder.next(id);
      }

      @Override
      public String finish() {
        return decoder.finish();
      }
    };
  }

  private static final class Printer implements Completion.Listener {
    private final TextOutput output;
    private final int row;
    private @Nullable Completion completion;

    Printer(TextOutput output, int row) {
      this.output = output;
      this.row = row;
    }

    @Override
    public void onToken(Token token) {
      if (!output.text(row, token.text()) && completion != null) {
        completion.cancel();
      }
    }

    @Override
    public void onEnd(Completion.End end, String text) {
      output.end(row, text);
    }
  }
}
