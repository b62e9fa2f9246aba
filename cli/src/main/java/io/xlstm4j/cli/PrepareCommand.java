package io.xlstm4j.cli;

import io.xlstm4j.text.Corpus;
import io.xlstm4j.text.Preparation;
import io.xlstm4j.text.PreparedTokens;
import io.xlstm4j.text.Split;
import io.xlstm4j.text.Tokens;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `prepare`: a corpus to a folder of tokens, once for many runs.
@Command(
    name = "prepare",
    description = "Encode a corpus once into a folder of tokens that train reads.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {
      "",
      "DIR appears when it is whole. After an interruption the same command goes",
      "on with what lies in DIR.unfinished; a DIR that is there already stays.",
      "What is in it: docs/data.md."
    })
final class PrepareCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--data",
      paramLabel = "CORPUS",
      description =
          "wordnet, a folder with train.txt and valid.txt (or *-train.txt and *-valid.txt), a text"
              + " file, or a glob")
  private @Nullable String data;

  @Option(
      names = "--tokenizer",
      paramLabel = "NAME",
      defaultValue = Preparation.TRAINED,
      description =
          "bpe: trained on the corpus; bytes; gpt2; or a tokenizer.json; default ${DEFAULT-VALUE}")
  private String tokenizer;

  @Option(
      names = "--vocab-size",
      paramLabel = "N",
      defaultValue = "4096",
      description = "tokens of a trained BPE; default ${DEFAULT-VALUE}")
  private int vocabSize;

  @Option(names = "--out", required = true, paramLabel = "DIR", description = "folder to make")
  private Path out;

  @Option(
      names = "--shard-tokens",
      paramLabel = "N",
      defaultValue = "" + Preparation.DEFAULT_SHARD_TOKENS,
      description = "start another file after so many tokens; default ${DEFAULT-VALUE}")
  private long shardTokens;

  @Option(
      names = "--verify",
      description = "make nothing; compare each file in --out with the SHA-256 it had")
  private boolean verify;

  @Override
  public Integer call() {
    if (verify) {
      return verify();
    }
    if (data == null) {
      throw new ParameterException(spec.commandLine(), "Missing required option: '--data=CORPUS'");
    }
    if (shardTokens < 1) {
      throw new ParameterException(
          spec.commandLine(), "--shard-tokens (" + shardTokens + ") must be positive");
    }
    if (!tokenizer.equals(Preparation.TRAINED)
        && spec.commandLine().getParseResult().hasMatchedOption("--vocab-size")) {
      throw new ParameterException(
          spec.commandLine(),
          "--vocab-size goes with --tokenizer bpe; %s has a vocabulary of its own"
              .formatted(tokenizer));
    }
    PrintWriter console = spec.commandLine().getOut();
    Corpus corpus =
        TextData.open(
            data,
            "series need no preparation: "
                + Program.command("train --data %s 'series.target_columns=[COLUMN]'"));
    @Nullable String division = corpus.division();
    if (division != null) {
      console.println("reading " + division);
    }
    var report = new Report(console, corpus);
    long began = System.nanoTime();
    var outcome = new Preparation(corpus, tokenizer, vocabSize, shardTokens).run(out, report);
    report.progress.clear();
    double seconds = (System.nanoTime() - began) / 1e9;
    try (var prepared = PreparedTokens.open(out)) {
      print(prepared);
      console.println(
          switch (outcome) {
            case PREPARED -> "prepared " + out + " in " + ProgressLine.duration(seconds);
            case CONTINUED ->
                "prepared "
                    + out
                    + ", going on with what was there, in "
                    + ProgressLine.duration(seconds);
            case ALREADY_THERE -> out + " is up to date: it has these tokens already";
          });
      console.println("train with: " + Program.command("train --data " + Program.quoted(out)));
    }
    console.flush();
    return ExitCode.OK;
  }

  private int verify() {
    try (var prepared = PreparedTokens.open(out)) {
      prepared.verify();
      print(prepared);
      spec.commandLine().getOut().println(out + ": every file is as it was prepared");
      spec.commandLine().getOut().flush();
    }
    return ExitCode.OK;
  }

  private void print(PreparedTokens prepared) {
    PrintWriter console = spec.commandLine().getOut();
    for (Split split : Split.values()) {
      Tokens tokens = prepared.tokens(split);
      int files = prepared.shards(split);
      console.println(
          String.format(
              Locale.ROOT,
              "%-10s  %,d tokens of %,d documents, %,d bytes of text, %.2f bytes per token, %d %s",
              split.name().toLowerCase(Locale.ROOT),
              tokens.size(),
              tokens.documents(),
              tokens.textBytes(),
              (double) tokens.textBytes() / tokens.size(),
              files,
              files == 1 ? "file" : "files"));
    }
  }

  /// A line for each stage, and a bar while documents are encoded.
  private static final class Report implements Preparation.Listener {
    private static final long SHOW_NANOS = 100_000_000;

    private final PrintWriter out;
    private final Corpus corpus;
    private final ProgressLine progress;
    private @Nullable Split split;
    private long began;
    private long shown;
    private long bytesBefore;
    private long all; // bytes of the part, about

    Report(PrintWriter out, Corpus corpus) {
      this.out = out;
      this.corpus = corpus;
      this.progress = new ProgressLine(out, Terminal.isInteractive());
    }

    @Override
    public void onStage(String what) {
      progress.clear();
      out.println(what + " ...");
      out.flush();
    }

    @Override
    public void onDocument(Split part, long documents, long textBytes, long tokens) {
      if (part != split) {
        split = part;
        began = System.nanoTime();
        bytesBefore = textBytes;
        all = corpus.approximateBytes(part);
      }
      long now = System.nanoTime();
      if (now - shown < SHOW_NANOS) {
        return;
      }
      shown = now;
      double seconds = (now - began) / 1e9;
      String note =
          String.format(
              Locale.ROOT,
              "MB of %s, %.1f M tokens",
              part.name().toLowerCase(Locale.ROOT),
              tokens / 1e6);
      if (seconds > 1) { // before that the speed is that of one batch
        double rate = (textBytes - bytesBefore) / seconds;
        note += String.format(Locale.ROOT, ", %.1f MB/s", rate / 1e6);
        if (all > textBytes && rate > 0) {
          note += ", " + ProgressLine.duration((all - textBytes) / rate) + " left";
        }
      }
      long about = Math.max(all, textBytes); // a corpus may not know
      progress.show(megabytes(textBytes), Math.max(1, megabytes(about)), note);
    }

    private static int megabytes(long bytes) {
      return (int) (bytes / 1_000_000);
    }
  }
}
