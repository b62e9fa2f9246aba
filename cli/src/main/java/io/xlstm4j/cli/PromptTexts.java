package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

/// The prompts of a command line: given as words, in files, or on the standard input.
final class PromptTexts {
  private static final String STANDARD_INPUT = "-";

  /// No prompt is longer; more is a mistake in the name of the file.
  private static final int MAX_BYTES = 64 << 20;

  private PromptTexts() {}

  /// @return at least one; the empty prompt if none is given
  static List<String> of(CommandLine command, List<String> prompts, List<String> files) {
    if (files.stream().filter(STANDARD_INPUT::equals).count() > 1) {
      throw new ParameterException(command, "--prompt-file - may be given once only");
    }
    var texts = new ArrayList<>(prompts);
    files.forEach(file -> texts.add(read(file)));
    return texts.isEmpty() ? List.of("") : List.copyOf(texts);
  }

  /// The text of a file without the line end that editors and `echo` add.
  private static String read(String file) {
    String where = file.equals(STANDARD_INPUT) ? "standard input" : "--prompt-file " + file;
    byte[] bytes;
    try {
      bytes =
          file.equals(STANDARD_INPUT)
              ? System.in.readNBytes(MAX_BYTES + 1)
              : Files.readAllBytes(sized(where, Path.of(file)));
    } catch (InvalidPathException e) {
      throw new InvalidInputException(where + ": no file name on this system", e);
    } catch (IOException e) {
      throw new InvalidInputException(where + ": cannot be read: " + OneLine.reason(e), e);
    }
    if (bytes.length > MAX_BYTES) {
      throw tooLong(where);
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return text.endsWith("\r\n")
          ? text.substring(0, text.length() - 2)
          : text.endsWith("\n") ? text.substring(0, text.length() - 1) : text;
    } catch (CharacterCodingException e) {
      throw new InvalidInputException(where + ": not UTF-8 text", e);
    }
  }

  private static Path sized(String where, Path file) throws IOException {
    if (Files.isRegularFile(file) && Files.size(file) > MAX_BYTES) {
      throw tooLong(where);
    }
    return file;
  }

  private static InvalidInputException tooLong(String where) {
    return new InvalidInputException(
        String.format(
            Locale.ROOT, "%s: more than %,d bytes are too many for a prompt", where, MAX_BYTES));
  }
}
