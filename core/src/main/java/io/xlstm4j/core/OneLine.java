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
    for (int at = 0; at < all.length() && line.length() < LIMIT; at++) {
      char c = all.charAt(at);
      if (Character.isISOControl(c) || c == '\u2028' || c == '\u2029' || Character.isSurrogate(c)) {
        line.append(
            at + 1 < all.length() && Character.isSurrogatePair(c, all.charAt(at + 1))
                ? all.substring(at, ++at + 1)
                : "\\u%04x".formatted((int) c));
      } else {
        line.append(c);
      }
    }
    return all.length() > LIMIT ? line + "…" : line.toString();
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
