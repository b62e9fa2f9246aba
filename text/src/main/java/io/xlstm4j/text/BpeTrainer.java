package io.xlstm4j.text;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Learns a byte-level BPE vocabulary from text.
///
/// Sennrich et al. 2016, arXiv:1508.07909, on bytes: again and again the most frequent pair of
/// neighbours inside words becomes a new token. Ties go to the pair with the smaller first, then
/// second id, so that the same text always gives the same vocabulary. Ids: the end of text is 0,
/// then the 256 bytes in the order of their letters, then the merges as they were learned.
public final class BpeTrainer {
  /// The end of text and the 256 bytes.
  public static final int SMALLEST_VOCAB = 257;

  /// The default length of the training text, in chars: enough for stable counts, and a bound on
  /// memory.
  public static final long DEFAULT_MAX_CHARS = 64L << 20;

  private static final int MIN_FREQUENCY = 2; // a pair seen once saves nothing

  /// Bytes of distinct words that are looked at. Natural text has a few millions in 64 Mi chars;
  /// what has more would take gigabytes.
  private static final int MAX_CELLS = 1 << 23;

  // Upper bounds of what a distinct word and each of its bytes take of the heap: the table of
  // words;
  // then cells, their words, and the places of pairs.
  private static final long BYTES_PER_WORD = 130;
  private static final long BYTES_PER_CELL = 36;

  private static final double SHARE_OF_HEAP = 0.8; // the rest is for documents and garbage

  private final int vocabSize;
  private final long maxChars;

  /// A trainer that looks at the first 64 MiB of text.
  ///
  /// @param vocabSize tokens wanted, at least 257
  /// @throws InvalidTextException if `vocabSize` is too small
  public BpeTrainer(int vocabSize) {
    this(vocabSize, DEFAULT_MAX_CHARS);
  }

  /// @param vocabSize tokens wanted, at least 257
  /// @param maxChars how much text to look at; the document that reaches it is the last
  /// @throws InvalidTextException if `vocabSize` is too small
  public BpeTrainer(int vocabSize, long maxChars) {
    if (vocabSize < SMALLEST_VOCAB) {
      throw new InvalidTextException(
          "vocabulary size "
              + vocabSize
              + ": too small; the 256 bytes and the end of text need at least "
              + SMALLEST_VOCAB);
    }
    if (maxChars < 1) {
      throw new IllegalArgumentException("maxChars (" + maxChars + ") must be positive");
    }
    this.vocabSize = vocabSize;
    this.maxChars = maxChars;
  }

  /// Learns from the documents. The vocabulary is smaller than asked if no pair is left that occurs
  /// twice.
  ///
  /// @param documents consumed up to the bound; the caller closes the stream
  /// @throws InvalidTextException if there is no text at all, or more distinct words than the heap
  ///   has room for
  public BpeVocabulary train(Stream<String> documents) {
    Map<String, Count> words = new HashMap<>();
    int cells = (int) countWords(documents.iterator(), words);
    if (words.isEmpty()) {
      throw new InvalidTextException("vocabulary: there is no text to learn it from");
    }
    return new Merging(words, cells).run(vocabSize);
  }

  private static final class Count {
    long value;
  }

  /// @return bytes of the distinct words, one more for each and one for all
  private long countWords(Iterator<String> documents, Map<String, Count> words) {
    long chars = 0;
    long cells = 1;
    while (chars < maxChars && cells < MAX_CELLS && documents.hasNext()) {
      String text = WellFormed.of(documents.next());
      chars += text.length();
      for (int start = 0; start < text.length(); ) {
        int end = Words.end(text, start);
        String word = text.substring(start, end);
        Count count = words.get(word);
        if (count == null) {
          count = new Count();
          words.put(word, count);
          cells += 1 + word.getBytes(StandardCharsets.UTF_8).length;
          checkHeap(words.size(), cells);
        }
        count.value++;
        start = end;
      }
    }
    return cells;
  }

  /// Refuses before the heap is full: what comes then would be no message for a person.
  private static void checkHeap(long words, long cells) {
    long needed = words * BYTES_PER_WORD + cells * BYTES_PER_CELL;
    long heap = Runtime.getRuntime().maxMemory();
    if (needed > heap * SHARE_OF_HEAP) {
      throw new InvalidTextException(
          "vocabulary: the distinct words of the text take more than the heap of %d MiB has room for; give Java more, such as JDK_JAVA_OPTIONS=-Xmx1g, or take the tokenizer bytes or gpt2"
              .formatted(heap >> 20));
    }
  }

  /// Two neighbouring tokens, how often they occur, and where they once occurred.
  private static final class Pair {
    final int first;
    final int second;
    long count;
    IntList places = new IntList(); // cells of the first token; some are out of date
    boolean grew; // since the last merge

    Pair(int first, int second) {
      this.first = first;
      this.second = second;
    }
  }

  /// A pair with the count it had when it was put into the queue.
  private record Candidate(long count, Pair pair) {
    static final Comparator<Candidate> BEST_FIRST =
        Comparator.comparingLong(Candidate::count)
            .reversed()
            .thenComparingInt(candidate -> candidate.pair.first)
            .thenComparingInt(candidate -> candidate.pair.second);
  }

  /// All distinct words side by side, one cell for each byte.
  ///
  /// The first cell of a token holds its id, the last one of a longer token holds the bitwise
  /// complement of where it begins, and a border lies between words. So both neighbours of a token
  /// are found without links, and a merge touches only the places where it happens.
  private static final class Merging {
    private static final int BORDER = Integer.MIN_VALUE;

    private final int[] cells;
    private final int[] wordAt; // by cell
    private final long[] countOfWord;
    private final List<byte[]> tokens = new ArrayList<>(); // by id
    private final List<BpeVocabulary.Merge> merges = new ArrayList<>();
    private final Map<Long, Pair> pairs = new HashMap<>();
    private final List<Pair> grown = new ArrayList<>();
    private final PriorityQueue<Candidate> queue = new PriorityQueue<>(Candidate.BEST_FIRST);

    /// @param words of the text; taken apart
    /// @param size bytes of the words, a border behind each and one before all
    Merging(Map<String, Count> words, int size) {
      int[] idOfByte = new int[256];
      tokens.add(Tokenizer.END_OF_TEXT.getBytes(StandardCharsets.UTF_8));
      for (char letter : ByteLetters.sorted()) {
        byte[] single = ByteLetters.bytesOf(String.valueOf(letter));
        idOfByte[single[0] & 0xFF] = tokens.size();
        tokens.add(single);
      }
      countOfWord = new long[words.size()];
      cells = new int[size];
      wordAt = new int[size];
      int at = 0;
      cells[at] = BORDER;
      wordAt[at++] = -1;
      int word = 0;
      for (Map.Entry<String, Count> entry : words.entrySet()) {
        countOfWord[word] = entry.getValue().value;
        for (byte b : entry.getKey().getBytes(StandardCharsets.UTF_8)) {
          cells[at] = idOfByte[b & 0xFF];
          wordAt[at++] = word;
        }
        cells[at] = BORDER;
        wordAt[at++] = -1;
        word++;
      }
      words.clear(); // the room is needed for the pairs
    }

    BpeVocabulary run(int vocabSize) {
      for (int cell = 0; cell + 1 < cells.length; cell++) {
        if (cells[cell] != BORDER && cells[cell + 1] != BORDER) {
          change(cells[cell], cells[cell + 1], countOfWord[wordAt[cell]], cell);
        }
      }
      queueGrown();
      while (tokens.size() < vocabSize) {
        Pair best = nextBest();
        if (best == null) {
          break;
        }
        merge(best);
        queueGrown();
      }
      return new BpeVocabulary(tokens, merges);
    }

    private @Nullable Pair nextBest() {
      while (!queue.isEmpty()) {
        Candidate top = queue.poll();
        Pair pair = top.pair;
        if (pair.count < MIN_FREQUENCY) {
          continue;
        }
        if (top.count == pair.count) {
          return pair;
        }
        queue.add(new Candidate(pair.count, pair)); // it shrank meanwhile
      }
      return null;
    }

    private void merge(Pair pair) {
      int merged = tokens.size();
      byte[] first = tokens.get(pair.first);
      byte[] second = tokens.get(pair.second);
      byte[] joined = Arrays.copyOf(first, first.length + second.length);
      System.arraycopy(second, 0, joined, first.length, second.length);
      tokens.add(joined);
      merges.add(new BpeVocabulary.Merge(pair.first, pair.second));

      for (int i = 0; i < pair.places.size(); i++) { // ascending, so "aaa" becomes "aa" "a"
        int at = pair.places.get(i);
        int middle = at + first.length;
        if (cells[at] != pair.first || cells[middle] != pair.second) {
          continue; // an earlier merge took one of the two
        }
        int end = at + joined.length;
        long count = countOfWord[wordAt[at]];
        int before = cells[at - 1];
        if (before != BORDER) {
          int start = before >= 0 ? at - 1 : ~before;
          change(cells[start], pair.first, -count, start);
          change(cells[start], merged, count, start);
        }
        int after = cells[end];
        if (after != BORDER) {
          change(pair.second, after, -count, middle);
          change(merged, after, count, at);
        }
        cells[middle] = ~at; // no longer a token's beginning
        cells[end - 1] = ~at;
        cells[at] = merged;
      }
      pair.count = 0;
      pair.places = new IntList();
    }

    private void change(int first, int second, long difference, int place) {
      Pair pair = pairs.computeIfAbsent((long) first << 32 | second, _ -> new Pair(first, second));
      pair.count += difference;
      if (difference > 0) {
        pair.places.add(place);
        if (!pair.grew) {
          pair.grew = true;
          grown.add(pair);
        }
      }
    }

    private void queueGrown() {
      for (Pair pair : grown) {
        pair.grew = false;
        if (pair.count >= MIN_FREQUENCY) {
          queue.add(new Candidate(pair.count, pair));
        }
      }
      grown.clear();
    }
  }
}
