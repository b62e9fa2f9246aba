package io.xlstm4j.text;

import java.nio.file.Path;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.stream.Stream;

/// The text of a folder of prepared tokens, decoded; for who wants it in another tokenizer.
///
/// It is the text that was encoded, unless the tokenizer loses some of it, as those that normalize
/// do.
final class PreparedCorpus implements Corpus {
  private final Path folder;
  private final PreparedManifest manifest;

  PreparedCorpus(Path folder) {
    this.folder = folder;
    this.manifest = PreparedManifest.read(folder.resolve(PreparedManifest.FILE_NAME));
  }

  @Override
  public String name() {
    return folder.toString();
  }

  @Override
  public Stream<String> documents(Split split) {
    var prepared = PreparedTokens.open(folder);
    return FileDocuments.stream(new Texts(prepared.tokens(split), prepared.tokenizer()))
        .filter(text -> !text.isEmpty())
        .onClose(prepared::close);
  }

  @Override
  public long approximateBytes(Split split) {
    return manifest.part(split).textBytes();
  }

  @Override
  public String fingerprint() {
    return Fingerprint.of(
        "prepared 1", manifest.train().fingerprint(), manifest.validation().fingerprint());
  }

  private static final class Texts implements Iterator<String> {
    private final Tokens tokens;
    private final Tokenizer tokenizer;
    private long at; // of the end-of-text id before the next document

    Texts(Tokens tokens, Tokenizer tokenizer) {
      this.tokens = tokens;
      this.tokenizer = tokenizer;
    }

    @Override
    public boolean hasNext() {
      return at < tokens.size() - 1;
    }

    @Override
    public String next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      long end = at + 1;
      while (tokens.get(end) != tokens.endOfText()) {
        end++;
      }
      int[] ids = new int[(int) (end - at - 1)];
      tokens.read(at + 1, ids, 0, ids.length);
      at = end;
      return tokenizer.decode(ids);
    }
  }
}
