package io.xlstm4j.cli;

import io.xlstm4j.core.Generator;
import io.xlstm4j.runtime.GenerationOptions;
import io.xlstm4j.runtime.ModelTokenizer;
import io.xlstm4j.text.StreamDecoder;
import io.xlstm4j.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.Consumer;

/// Generation on libtorch.
final class TorchGeneration {
  private TorchGeneration() {}

  static void run(
      Path folder,
      String device,
      List<String> prompts,
      GenerationOptions wanted,
      TextOutput output,
      Consumer<String> warn) {
    try (var loaded = LoadedModel.open(folder, device)) {
      Tokenizer tokenizer = loaded.tokenizer();
      loaded.special().warnings().forEach(warn);
      OptionalInt end = ModelTokenizer.end(tokenizer);
      var options =
          new Generator.Options(
              wanted.maxTokens(),
              tokenizer.vocabSize(),
              loaded.special().stops(end),
              wanted.sampler());
      var ids =
          prompts.stream()
              .map(prompt -> loaded.special().prompt(tokenizer.encode(prompt), end))
              .toList();
      List<StreamDecoder> decoders = prompts.stream().map(_ -> tokenizer.streamDecoder()).toList();
      new Generator(loaded.model(), options)
          .generate(
              ids,
              new Generator.Listener() {
                @Override
                public boolean onToken(int row, int id) {
                  return output.text(row, decoders.get(row).next(id));
                }

                @Override
                public void onEnd(int row, Generator.End end) {
                  output.end(row, decoders.get(row).finish());
                }
              });
    }
  }
}
