package io.xlstm4j.train.task;

import io.xlstm4j.text.Tokenizer;

/// A prompt as the model saw texts begin: end-of-text first, which starts a document.
public final class Prompt {
  private Prompt() {}

  public static int[] ids(Tokenizer tokenizer, String prompt) {
    int[] text = tokenizer.encode(prompt);
    int[] ids = new int[text.length + 1];
    ids[0] = tokenizer.endOfText();
    System.arraycopy(text, 0, ids, 1, text.length);
    return ids;
  }
}
