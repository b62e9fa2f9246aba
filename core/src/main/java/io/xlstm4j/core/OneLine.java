package io.xlstm4j.core;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;

/// Makes text from files and from the system fit for a message of one line.
public final class OneLine {
  // Longer names would hide the rest of the message.
  private static final int LIMIT = 200;

  private OneLine() {}

  /// `text` with control characters and line breaks escaped, cut after 200 characters.
  public static String of(Object text) {
    String all = String.valueOf(text);
    var line = new StringBuilder();
    int at = 0;
    while (at < all.length() && line.length() < LIMIT) {
      int point = all.codePointAt(at); // an unpaired surrogate comes as itself
      at += Character.charCount(point);
      switch (Character.getType(point)) {
        case Character.CONTROL,
            Character.LINE_SEPARATOR,
            Character.PARAGRAPH_SEPARATOR,
            Character.SURROGATE ->
            line.append("\\u%04x".formatted(point));
        default -> line.appendCodePoint(point);
      }
    }
    return at < all.length() ? line + "…" : line.toString();
  }

  /// `name` in single quotes, fit for one line.
  public static String quote(Object name) {
    return "'" + of(name) + "'";
  }

  /// Why the system refused, without repeating the name of the file.
  public static String reason(IOException e) {
    return switch (e) {
      case NoSuchFileException _ -> "no such file or folder";
      case AccessDeniedException _ -> "permission denied";
      case FileAlreadyExistsException _ -> "a file or folder of that name is there";
      case DirectoryNotEmptyException _ -> "the folder is not empty";
      case FileSystemException f when f.getReason() != null -> of(f.getReason());
      default -> {
        String message = e.getMessage();
        yield message == null ? e.getClass().getSimpleName() : of(message);
      }
    };
  }
}
