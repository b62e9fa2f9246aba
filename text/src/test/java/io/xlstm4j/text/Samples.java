package io.xlstm4j.text;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.stream.Stream;

/// Texts and corpora for tests.
final class Samples {
  /// Texts that break tokenizers.
  static final List<String> NASTY =
      List.of(
          "",
          " ",
          "\n",
          "\r\nwindows\r\n",
          "a",
          "  leading and   multiple   spaces\t\ttabs\n\n",
          "trailing space ",
          "It's we'll I'd they've I'm you're 'tis 'S ''s s'",
          "<|endoftext|>",
          "before<|endoftext|>after <|endoftext|>",
          "<|padding|></s><eos>",
          "naïve café — 北京 🙂 emoji 👩‍👩‍👧‍👦",
          "e\u0301vs\u00E9 ﬁ Å",
          "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
          "\u0000\u0001\u007F\u0080\u00AD\u200B\uFEFF",
          "\u00A0\u2003\u3000 wide\u2028spaces\u0085next",
          "½ ² Ⅷ ٣٤٥ 12345 67,890.12",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa aaaa aaa aa a",
          "!!!!!???? --- ===>>> {}[]();",
          "\uFFFD lone \uFFFD");

  private static final String[] PIECES = {
    "the",
    " the",
    "state",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "'s",
    "'",
    "12",
    "3",
    ".",
    ",",
    "a",
    "b",
    "ab",
    "aa",
    "é",
    "北京",
    "🙂",
    "Ж",
    "<|endoftext|>",
    "<|",
    "\u00A0",
    "½",
    "\u0000"
  };

  private Samples() {}

  /// A text of random pieces and characters, many of them repeated.
  static String random(Random random, int pieces) {
    var text = new StringBuilder();
    for (int i = 0; i < pieces; i++) {
      if (random.nextInt(8) == 0) {
        int codePoint = random.nextInt(0x11000);
        boolean usable = Character.isDefined(codePoint) && !isSurrogate(codePoint);
        text.appendCodePoint(usable ? codePoint : '?');
      } else {
        text.append(PIECES[random.nextInt(PIECES.length)]);
      }
    }
    return text.toString();
  }

  private static boolean isSurrogate(int codePoint) {
    return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
  }

  /// The golden files of a byte-level BPE.
  static Path golden(String file) throws URISyntaxException {
    return Path.of(
        Objects.requireNonNull(Samples.class.getResource("/golden/bpe_tokenizer/" + file)).toURI());
  }

  /// A corpus of the given documents, the same in both parts.
  record MemoryCorpus(List<String> texts) implements Corpus {
    static MemoryCorpus of(String... texts) {
      return new MemoryCorpus(List.of(texts));
    }

    @Override
    public String name() {
      return "memory";
    }

    @Override
    public Stream<String> documents(Split split) {
      return texts.stream();
    }

    @Override
    public String fingerprint() {
      return Fingerprint.of(texts.toArray(new String[0]));
    }
  }

  /// A token file of documents, encoded as bytes.
  static TokenFile tokenFile(Path folder, String... texts) throws IOException {
    Path path = Files.createTempFile(folder, "tokens", ".bin");
    Files.delete(path);
    TokenFile.build(MemoryCorpus.of(texts), Split.TRAIN, Tokenizers.builtIn("bytes"), path);
    return TokenFile.open(path);
  }
}
