package io.xlstm4j.text;

import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// Opens tokenizers by name or from a folder.
public final class Tokenizers {
  /// The file that holds a tokenizer, in a model folder and on the hub.
  public static final String FILE_NAME = "tokenizer.json";

  private Tokenizers() {}

  /// A tokenizer that needs no file: `bytes` (257 ids), `gpt2` (50,257 ids), or the symbols of a
  /// formal language, such as `parity-3`.
  ///
  /// @throws InvalidTextException if there is none of that name
  public static Tokenizer builtIn(String name) {
    return switch (name) {
      case ByteTokenizer.NAME -> new ByteTokenizer();
      case Gpt2Tokenizer.NAME -> new Gpt2Tokenizer();
      default -> {
        Tokenizer symbols = SymbolTokenizer.of(name);
        if (symbols == null) {
          throw new InvalidTextException(
              "tokenizer " + name + ": no built-in of that name; there are bytes and gpt2");
        }
        yield symbols;
      }
    };
  }

  /// The tokenizer in a `tokenizer.json`, of any kind that Hugging Face writes.
  ///
  /// @throws InvalidTextException if the file is missing or broken
  public static Tokenizer fromFile(Path tokenizerJson) {
    return JsonTokenizer.open(tokenizerJson, null);
  }

  /// The same with the end of text that a model's configuration names.
  ///
  /// @param endOfText the id, or null; an ordinary word is not taken, for text could not hold it
  /// @throws InvalidTextException if the file is missing or broken
  public static Tokenizer fromFile(Path tokenizerJson, @Nullable Integer endOfText) {
    return JsonTokenizer.open(tokenizerJson, endOfText);
  }

  /// The tokenizer of a model: `tokenizer.json` in its folder, or else the built-in one.
  ///
  /// @param builtInName the name that the model's configuration gives, if it gives one
  /// @throws InvalidTextException if there is neither, or if it cannot be used
  public static Tokenizer open(Path modelFolder, @Nullable String builtInName) {
    return open(modelFolder, builtInName, null);
  }

  /// The same with the end of text that the model's configuration names.
  ///
  /// @param endOfText as for [#fromFile(Path, Integer)]; a built-in tokenizer keeps its own
  /// @throws InvalidTextException if there is neither, or if it cannot be used
  public static Tokenizer open(
      Path modelFolder, @Nullable String builtInName, @Nullable Integer endOfText) {
    Path file = modelFolder.resolve(FILE_NAME);
    if (Files.exists(file)) {
      return fromFile(file, endOfText);
    }
    if (builtInName != null) {
      return builtIn(builtInName);
    }
    throw new InvalidTextException(
        modelFolder
            + ": no "
            + FILE_NAME
            + " in the folder and no built-in tokenizer named; one of them is needed");
  }
}
