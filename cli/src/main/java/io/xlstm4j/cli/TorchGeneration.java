package io.xlstm4j.cli;

import io.xlstm4j.core.Generator;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.text.StreamDecoder;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.train.task.Prompt;
import java.nio.file.Path;
import java.util.List;

/// Generation on libtorch.
final class TorchGeneration {
  private TorchGeneration() {}

  static void run(
      Path folder,
      String device,
      List<String> prompts,
      int maxTokens,
      SamplerConfig sampler,
      TextOutput output) {
    try (var loaded = LoadedModel.open(folder, device)) {
      Tokenizer tokenizer = loaded.tokenizer();
      var options =
          new Generator.Options(maxTokens, tokenizer.vocabSize(), tokenizer.endOfText(), sampler);
      var ids = prompts.stream().map(prompt -> Prompt.ids(tokenizer, prompt)).toList();
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
