package io.xlstm4j.runtime;

import io.xlstm4j.core.checkpoint.SpecialTokens;
import io.xlstm4j.text.StreamDecoder;
import io.xlstm4j.text.Tokenizer;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.OptionalInt;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/// Continues texts by a model folder, with the folder's own tokenizer, beginning and end of text.
///
/// ```java
/// try (var generator = TextGenerator.open(Path.of("runs/wordnet"))) {
///   String text = generator.generate("hedgehog (noun):");
/// }
/// ```
///
/// Texts that are returned do not contain the prompt. Safe for use by several threads, which take
/// turns with the model. Several prompts advance together, faster than one after the other, as
/// [#request] of one [Generation].
public final class TextGenerator implements AutoCloseable {
  private final RuntimeModel model;
  private final SpecialTokens special;
  private final Tokenizer tokenizer;

  private TextGenerator(RuntimeModel model, SpecialTokens special, Tokenizer tokenizer) {
    this.model = model;
    this.special = special;
    this.tokenizer = tokenizer;
  }

  /// Opens a model folder: `config.json`, safetensors, and `tokenizer.json` or the name of a
  /// built-in tokenizer. Weights are mapped, not read.
  ///
  /// @throws io.xlstm4j.core.InvalidInputException if the folder is no good checkpoint, or its
  ///   tokenizer knows ids that the model does not
  /// @throws io.xlstm4j.text.InvalidTextException if there is no tokenizer, or a broken one
  public static TextGenerator open(Path folder) {
    RuntimeModel model = RuntimeModel.open(folder);
    try {
      SpecialTokens special = model.specialTokens();
      return new TextGenerator(
          model, special, ModelTokenizer.open(folder, model.checkpoint(), special));
    } catch (RuntimeException | Error e) {
      model.close();
      throw e;
    }
  }

  /// Returns the continuation of a prompt with [GenerationOptions#DEFAULT].
  ///
  /// @param prompt text; if empty, the beginning of a new document
  /// @throws io.xlstm4j.core.InvalidInputException if the prompt is empty and the model names no
  ///   token that begins a text
  public String generate(String prompt) {
    return generate(prompt, GenerationOptions.DEFAULT).text();
  }

  /// Returns the continuation of a prompt: its text, its tokens, and why it ended.
  ///
  /// @throws io.xlstm4j.core.InvalidInputException as [#generate(String)]
  public Completion generate(String prompt, GenerationOptions options) {
    return generate(prompt, options, _ -> {});
  }

  /// Returns the continuation of a prompt, and gives each token to a listener as it is chosen, on
  /// the calling thread.
  ///
  /// @throws io.xlstm4j.core.InvalidInputException as [#generate(String)]
  public Completion generate(
      String prompt, GenerationOptions options, Completion.Listener listener) {
    try (var generation = new Generation(model)) {
      Completion completion = generation.add(request(prompt, options), listener);
      generation.run();
      return completion;
    }
  }

  /// Returns the continuation of a prompt in pieces, each computed when it is asked for. No piece
  /// is empty or ends within a character; together they are the text that [#generate] returns.
  ///
  /// @return a sequential stream; close it if it is not read to its end
  /// @throws io.xlstm4j.core.InvalidInputException as [#generate(String)]
  public Stream<String> stream(String prompt, GenerationOptions options) {
    var pieces = new Pieces(new Generation(model), request(prompt, options));
    int order = Spliterator.ORDERED | Spliterator.NONNULL;
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(pieces, order), false)
        .onClose(pieces::close);
  }

  /// Returns the request that continues a prompt, for a [Generation] of [#model].
  ///
  /// @throws io.xlstm4j.core.InvalidInputException as [#generate(String)]
  public Request request(String prompt, GenerationOptions options) {
    OptionalInt end = ModelTokenizer.end(tokenizer);
    return Request.of(special.prompt(tokenizer.encode(prompt), end))
        .withMaxTokens(options.maxTokens())
        .withEndTokens(special.stops(end))
        .withSampler(options.sampler())
        .withVocabLimit(tokenizer.vocabSize())
        .withDecoder(this::decoder)
        .withStopStrings(options.stopStrings());
  }

  private TextDecoder decoder() {
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

  /// Returns the model; it stays this object's, which closes it.
  public RuntimeModel model() {
    return model;
  }

  /// Returns the tokenizer; it stays this object's, which closes it.
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /// Returns what the folder's files say against each other on special tokens, a line each.
  public List<String> warnings() {
    return special.warnings();
  }

  /// Frees the model and the tokenizer; nothing may be called afterwards.
  @Override
  public void close() {
    tokenizer.close();
    model.close();
  }

  /// Steps a generation of one request as its text is read.
  private static final class Pieces implements Iterator<String>, Completion.Listener {
    private final Generation generation;
    private final StringBuilder ready = new StringBuilder();
    private boolean done;

    Pieces(Generation generation, Request request) {
      this.generation = generation;
      generation.add(request, this);
    }

    @Override
    public void onToken(Token token) {
      ready.append(token.text());
    }

    @Override
    public void onEnd(FinishReason reason, String text) {
      ready.append(text);
      done = true;
    }

    @Override
    public boolean hasNext() {
      while (ready.isEmpty() && !done) {
        generation.step();
      }
      return !ready.isEmpty();
    }

    @Override
    public String next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      String piece = ready.toString();
      ready.setLength(0);
      return piece;
    }

    void close() {
      generation.close();
    }
  }
}
