package io.xlstm4j.cli;

import java.io.PrintWriter;
import java.util.List;

/// Receives generated text as it comes.
interface TextOutput {
  /// @param row index of the prompt
  /// @return false if nobody reads any more
  boolean text(int row, String piece);

  /// Nothing more comes for a prompt but `rest`.
  void end(int row, String rest);

  /// The program is interrupted: ends the line that was begun, and prints nothing any more.
  void leave();

  /// One prompt streams token by token; of several, each is printed when it is done.
  static TextOutput of(PrintWriter out, List<String> prompts) {
    return prompts.size() == 1
        ? new Streaming(out, prompts.getFirst())
        : new WhenDone(out, prompts);
  }

  /// Prints each piece of the only text at once.
  final class Streaming implements TextOutput {
    private final PrintWriter out;
    private final String prompt;
    private boolean begun;
    private boolean ended;

    Streaming(PrintWriter out, String prompt) {
      this.out = out;
      this.prompt = prompt;
    }

    private void begin() { // not before the model is open: an error would follow on the same line
      if (!begun) {
        out.print(prompt);
        begun = true;
      }
    }

    @Override
    public synchronized boolean text(int row, String piece) {
      if (ended) {
        return false;
      }
      begin();
      out.print(piece);
      return !out.checkError(); // flushes; whoever read it may be gone
    }

    @Override
    public synchronized void end(int row, String rest) {
      if (!ended) {
        begin();
        out.println(rest);
        out.flush();
        ended = true;
      }
    }

    @Override
    public synchronized void leave() {
      if (begun && !ended) {
        out.println();
        out.flush();
      }
      ended = true;
    }
  }

  /// Prints each of several texts when it has ended.
  final class WhenDone implements TextOutput {
    private final PrintWriter out;
    private final List<StringBuilder> texts;
    private boolean left;

    WhenDone(PrintWriter out, List<String> prompts) {
      this.out = out;
      texts = prompts.stream().map(StringBuilder::new).toList();
    }

    @Override
    public boolean text(int row, String piece) {
      texts.get(row).append(piece);
      return true;
    }

    @Override
    public synchronized void leave() {
      left = true;
    }

    @Override
    public synchronized void end(int row, String rest) {
      if (left) {
        return;
      }
      out.println("[" + (row + 1) + "/" + texts.size() + "] " + texts.get(row) + rest);
      out.flush();
    }
  }
}
