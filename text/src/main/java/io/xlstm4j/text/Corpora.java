package io.xlstm4j.text;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Stream;

/// Opens corpora by name, file or folder.
public final class Corpora {
  /// The corpus that needs no file.
  public static final String WORDNET = "wordnet";

  private Corpora() {}

  /// Opens what `spec` describes:
  ///
  /// - `wordnet`: the entries of WordNet 3.1;
  /// - a folder with `train.txt` and `valid.txt`, or with one pair such as
  ///   `TinyStoriesV2-GPT4-train.txt` and `TinyStoriesV2-GPT4-valid.txt`;
  /// - what two such files have in common: `stories/TinyStoriesV2-GPT4`;
  /// - a folder of prepared tokens, whose text is decoded; `PreparedTokens` gives its tokens;
  /// - a text file: documents stand between `<|endoftext|>`, or if there is none in it, end at the
  ///   first blank lines after 2,048 bytes;
  /// - a glob such as `src/**/*.java`: each file is a document, or several if it has separators;
  ///   `**/` also stands for no folder at all.
  ///
  /// Text is UTF-8. Documents above 1 MiB are cut at line ends. Files and globs keep about 5 % of
  /// the documents for validation, chosen by a hash of their text; if there is only one document,
  /// the first 90 % of it train and the rest validates.
  ///
  /// @throws InvalidTextException if nothing fits the description
  public static Corpus open(String spec) {
    if (spec.equals(WORDNET)) {
      return new WordNetCorpus();
    }
    Path path = null;
    try {
      path = Path.of(spec);
    } catch (InvalidPathException _) {
      // some systems allow no * in a path; it may still be a glob
    }
    if (path != null && !spec.isEmpty() && Files.isDirectory(path)) {
      return PreparedTokens.isPrepared(path)
          ? new PreparedCorpus(path)
          : FolderCorpus.ofFolder(path);
    }
    if (path != null && Files.isRegularFile(path)) {
      return new FileCorpus(spec, List.of(path), cutOf(path));
    }
    Corpus pair = path == null ? null : FolderCorpus.ofPrefix(path);
    if (pair != null) {
      return pair;
    }
    if (spec.chars().anyMatch(c -> "*?[{".indexOf(c) >= 0)) {
      return new FileCorpus(spec, glob(spec), DocumentReader.Cut.SEPARATOR);
    }
    throw new InvalidTextException(
        "corpus "
            + (spec.isEmpty() ? "\"\"" : spec)
            + ": no such file or folder; give wordnet, a text file, a folder with train.txt and"
            + " valid.txt, or a glob such as src/**/*.java");
  }

  /// The same text undivided: each part of the result has all documents.
  public static Corpus whole(Corpus corpus) {
    return new WholeCorpus(corpus);
  }

  private static List<Path> glob(String spec) {
    String[] parts = spec.replace('\\', '/').split("/", -1);
    int fixed = 0;
    while (fixed < parts.length - 1
        && parts[fixed].chars().noneMatch(c -> "*?[{".indexOf(c) >= 0)) {
      fixed++;
    }
    String base = String.join("/", Arrays.copyOf(parts, fixed));
    Path root = Path.of(fixed == 0 ? "." : base.isEmpty() ? "/" : base);
    String pattern = String.join("/", Arrays.copyOfRange(parts, fixed, parts.length));
    List<Path> files;
    try (Stream<Path> below = Files.walk(root)) {
      PathMatcher matcher =
          FileSystems.getDefault().getPathMatcher("glob:" + pattern.replace("**/", "{**/,}"));
      files =
          below
              .filter(file -> matcher.matches(root.relativize(file)))
              .filter(file -> Files.isRegularFile(file))
              .sorted(
                  Comparator.comparing(file -> root.relativize(file).toString().replace('\\', '/')))
              .toList();
    } catch (IOException e) {
      throw new InvalidTextException("corpus " + spec + ": " + root + ": " + ErrorReason.of(e), e);
    } catch (UncheckedIOException e) {
      throw new InvalidTextException("corpus " + spec + ": " + e.getMessage(), e);
    } catch (PatternSyntaxException e) {
      throw new InvalidTextException("corpus " + spec + ": not a glob: " + e.getDescription(), e);
    }
    if (files.isEmpty()) {
      throw new InvalidTextException(
          "corpus " + spec + ": no file fits the glob; it was tried on the files below " + root);
    }
    return files;
  }

  /// Returns how a single file is cut into documents: searches it for a separator.
  static DocumentReader.Cut cutOf(Path file) {
    byte[] separator = DocumentReader.SEPARATOR.getBytes(StandardCharsets.US_ASCII);
    byte[] bytes = new byte[1 << 18];
    try (var channel = FileChannel.open(file)) {
      int matched = 0;
      var buffer = ByteBuffer.wrap(bytes);
      for (int count = channel.read(buffer); count >= 0; count = channel.read(buffer.clear())) {
        for (int i = 0; i < count; i++) {
          // '<' occurs only at the front, so a mismatch can only begin a new match
          matched = bytes[i] == separator[matched] ? matched + 1 : bytes[i] == separator[0] ? 1 : 0;
          if (matched == separator.length) {
            return DocumentReader.Cut.SEPARATOR;
          }
        }
      }
    } catch (IOException e) {
      throw DocumentReader.unreadable(file, e);
    }
    return DocumentReader.Cut.BLANK_LINES;
  }
}
