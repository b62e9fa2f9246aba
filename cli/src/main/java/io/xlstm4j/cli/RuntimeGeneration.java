package io.xlstm4j.cli;

import io.xlstm4j.runtime.Completion;
import io.xlstm4j.runtime.FinishReason;
import io.xlstm4j.runtime.Generation;
import io.xlstm4j.runtime.GenerationOptions;
import io.xlstm4j.runtime.Request;
import io.xlstm4j.runtime.TextGenerator;
import io.xlstm4j.runtime.Token;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Generation in plain Java: nothing here or below loads libtorch.
final class RuntimeGeneration {
  private RuntimeGeneration() {}

  static void run(
      Path folder,
      List<String> prompts,
      GenerationOptions options,
      TextOutput output,
      Consumer<String> warn) {
    try (var generator = TextGenerator.open(folder);
        var generation = new Generation(generator.model())) {
      generator.warnings().forEach(warn);
      for (int row = 0; row < prompts.size(); row++) {
        var printer = new Printer(output, row);
        Request request = generator.request(prompts.get(row), options).withStream(row);
        printer.completion = generation.add(request, printer);
      }
      generation.run();
    }
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
    public void onEnd(FinishReason reason, String text) {
      output.end(row, text);
    }
  }
}
