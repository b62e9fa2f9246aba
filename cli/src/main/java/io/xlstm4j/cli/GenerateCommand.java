package io.xlstm4j.cli;

import io.xlstm4j.core.Generator;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.text.StreamDecoder;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.train.Prompt;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `generate`: text after one or several prompts, as it comes.
@Command(
    name = "generate",
    description = "Continue prompts, printing the text as it comes.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {
      "",
      "One prompt streams token by token; of several, each is printed when it is done."
    })
final class GenerateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(names = "--model", required = true, paramLabel = "DIR", description = "checkpoint folder")
  private Path model;

  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      description = "text to continue; may be given several times; default none, a new document")
  private List<String> prompts = List.of("");

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "128",
      description = "tokens to write at most; default ${DEFAULT-VALUE}")
  private int maxTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0.7",
      description = "0 for the likeliest token always; default ${DEFAULT-VALUE}")
  private double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      defaultValue = "0",
      description = "choose among the K likeliest tokens; default all")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "0.9",
      description = "choose among the likeliest tokens of mass P; default ${DEFAULT-VALUE}")
  private double topP;

  @Option(
      names = "--repetition-penalty",
      paramLabel = "R",
      defaultValue = "1",
      description = "above 1 makes tokens that were seen less likely; default ${DEFAULT-VALUE}")
  private double repetitionPenalty;

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "the same seed gives the same text; default a fresh one")
  private @Nullable Long seed;

  @Option(
      names = "--device",
      paramLabel = "NAME",
      defaultValue = "cpu",
      description = "cpu, cuda or cuda:N; default ${DEFAULT-VALUE}")
  private String device;

  @Option(
      names = "--backend",
      paramLabel = "NAME",
      defaultValue = "torch",
      description = "what runs the model: torch")
  private String backend;

  @Override
  public Integer call() {
    if (!backend.equals("torch")) {
      throw new ParameterException(
          spec.commandLine(), "--backend " + backend + " is unknown; there is torch");
    }
    SamplerConfig sampler = sampler();
    try (var loaded = LoadedModel.open(model, device)) {
      Tokenizer tokenizer = loaded.tokenizer();
      var options =
          new Generator.Options(maxTokens, tokenizer.vocabSize(), tokenizer.endOfText(), sampler);
      var ids = prompts.stream().map(prompt -> Prompt.ids(tokenizer, prompt)).toList();
      new Generator(loaded.model(), options).generate(ids, writer(tokenizer));
    }
    return ExitCode.OK;
  }

  private SamplerConfig sampler() {
    long chosen = seed == null ? System.nanoTime() : seed;
    if (maxTokens < 1) {
      throw new ParameterException(
          spec.commandLine(), "--max-tokens (" + maxTokens + ") must be positive");
    }
    try {
      return new SamplerConfig(temperature, topK, topP, 0, repetitionPenalty, chosen);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private Generator.Listener writer(Tokenizer tokenizer) {
    PrintWriter out = spec.commandLine().getOut();
    return prompts.size() == 1
        ? new Streaming(out, tokenizer.streamDecoder(), prompts.getFirst())
        : new WhenDone(out, tokenizer, prompts);
  }

  /// Prints each piece of the only text at once.
  private record Streaming(PrintWriter out, StreamDecoder text, String prompt)
      implements Generator.Listener {
    private Streaming {
      out.print(prompt);
      out.flush();
    }

    @Override
    public boolean onToken(int row, int id) {
      out.print(text.next(id));
      out.flush();
      return !out.checkError(); // whoever read it may be gone
    }

    @Override
    public void onEnd(int row, Generator.End end) {
      out.println(text.finish());
      out.flush();
    }
  }

  /// Prints each of several texts when it has ended.
  private static final class WhenDone implements Generator.Listener {
    private final PrintWriter out;
    private final List<String> prompts;
    private final List<StreamDecoder> decoders = new ArrayList<>();
    private final List<StringBuilder> texts = new ArrayList<>();

    WhenDone(PrintWriter out, Tokenizer tokenizer, List<String> prompts) {
      this.out = out;
      this.prompts = prompts;
      for (String prompt : prompts) {
        decoders.add(tokenizer.streamDecoder());
        texts.add(new StringBuilder(prompt));
      }
    }

    @Override
    public boolean onToken(int row, int id) {
      texts.get(row).append(decoders.get(row).next(id));
      return true;
    }

    @Override
    public void onEnd(int row, Generator.End end) {
      out.println(
          "["
              + (row + 1)
              + "/"
              + prompts.size()
              + "] "
              + texts.get(row)
              + decoders.get(row).finish());
      out.flush();
    }
  }
}
