package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.StrictJson;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collection;
import java.util.Collections;
import java.util.HexFormat;
import java.util.Map;
import java.util.SortedMap;
import java.util.StringJoiner;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Size and SHA-256 of every file of a checkpoint.
///
/// @param files by name relative to the folder, parts separated by `/`
record Manifest(SortedMap<String, Entry> files) {
  static final String FILE = "manifest.json";
  private static final int MAX_BYTES = 16 << 20;

  Manifest {
    files = Collections.unmodifiableSortedMap(new TreeMap<>(files));
  }

  /// The size and hash that a file must have.
  ///
  /// @param size in bytes
  /// @param sha256 64 hexadecimal digits in lower case
  record Entry(long size, String sha256) {
    Entry {
      Check.notNegative("size", size);
      if (!sha256.matches("[0-9a-f]{64}")) {
        throw new IllegalArgumentException(
            "sha256 (" + OneLine.of(sha256) + ") must be 64 hexadecimal digits in lower case");
      }
    }
  }

  /// Reads all of `files` and notes what they are.
  static Manifest of(Path folder, Collection<Path> files) throws IOException {
    var entries = new TreeMap<String, Entry>();
    for (Path file : files) {
      String name = name(folder, file);
      if (!staysInside(name)) {
        throw new InvalidInputException(
            OneLine.of(file) + ": its name has a character that some systems refuse");
      }
      entries.put(name, new Entry(Files.size(file), sha256(file)));
    }
    return new Manifest(entries);
  }

  /// The name of `file` in a manifest of `folder`.
  private static String name(Path folder, Path file) {
    var name = new StringJoiner("/");
    folder.relativize(file).forEach(part -> name.add(part.toString()));
    return name.toString();
  }

  /// The manifest of `folder`, or null if it has none.
  ///
  /// @throws InvalidInputException if it is there but broken
  static @Nullable Manifest read(Path folder) throws IOException {
    Path file = folder.resolve(FILE);
    if (!Files.exists(file)) {
      return null;
    }
    String where = OneLine.of(file);
    if (!Files.isRegularFile(file) || Files.size(file) > MAX_BYTES) {
      throw new InvalidInputException(
          where + ": must be a regular file of at most " + MAX_BYTES + " bytes");
    }
    var json = new StrictJson(where, Files.readAllBytes(file));
    var files = new TreeMap<String, Entry>();
    json.beginObject("the manifest");
    for (@Nullable String name; (name = json.nextKey()) != null; ) {
      if (!staysInside(name)) {
        throw new InvalidInputException(
            where + ": " + OneLine.quote(name) + " must be the name of a file in the folder");
      }
      files.put(name, entry(where, name, json));
    }
    json.end();
    return new Manifest(files);
  }

  private static Entry entry(String where, String name, StrictJson json) {
    String file = OneLine.quote(name);
    long size = -1;
    String sha256 = "";
    json.beginObject(file);
    for (@Nullable String key; (key = json.nextKey()) != null; ) {
      switch (key) {
        case "size" -> size = json.count(file + ": size");
        case "sha256" -> sha256 = json.string(file + ": sha256");
        default ->
            throw new InvalidInputException(
                "%s: %s: unknown key %s; known are size, sha256"
                    .formatted(where, file, OneLine.quote(key)));
      }
    }
    try {
      return new Entry(size, sha256);
    } catch (IllegalArgumentException e) {
      throw new InvalidInputException(where + ": " + file + ": " + e.getMessage(), e);
    }
  }

  /// A manifest from elsewhere must not make us read files from elsewhere.
  private static boolean staysInside(String name) {
    if (name.chars().anyMatch(c -> c == '\\' || c == ':' || c < ' ')) {
      return false;
    }
    for (String part : name.split("/", -1)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..")) {
        return false;
      }
    }
    return true;
  }

  /// Two-space indented JSON, sorted by name.
  byte[] json() {
    var json = new StringJoiner(",\n", "{\n", "\n}\n");
    files.forEach((name, entry) ->
        json.add(
            "  %s: {\"size\": %s, \"sha256\": \"%s\"}"
                .formatted(StrictJson.quote(name), Long.toString(entry.size), entry.sha256)));
    return json.toString().getBytes(StandardCharsets.UTF_8);
  }

  /// Returns this manifest with the entries of `newer` instead of its own of the same name.
  Manifest with(Manifest newer) {
    var merged = new TreeMap<>(files);
    merged.putAll(newer.files);
    return new Manifest(merged);
  }

  /// Compares the files of `folder` with this.
  ///
  /// @param content whether to read the files, or to compare sizes only
  /// @throws InvalidInputException if one differs; the message names it and both values
  void verify(Path folder, boolean content) throws IOException {
    for (Map.Entry<String, Entry> named : files.entrySet()) {
      Entry expected = named.getValue();
      Path file = inside(folder, named.getKey());
      String where = OneLine.of(file);
      if (!Files.isRegularFile(file)) {
        throw new InvalidInputException(
            "%s: is named in %s (%d bytes), but is not there"
                .formatted(where, FILE, expected.size));
      }
      if (Files.size(file) != expected.size) {
        throw new InvalidInputException(
            "%s: has %d bytes, but %s says %d"
                .formatted(where, Files.size(file), FILE, expected.size));
      }
      if (content) {
        String found = sha256(file);
        if (!found.equals(expected.sha256)) {
          throw new InvalidInputException(
              "%s: has SHA-256 %s, but %s says %s".formatted(where, found, FILE, expected.sha256));
        }
      }
    }
  }

  private static Path inside(Path folder, String name) {
    try {
      return folder.resolve(name);
    } catch (InvalidPathException e) {
      throw new InvalidInputException(
          "%s: %s in %s is no file name on this system"
              .formatted(OneLine.of(folder), OneLine.quote(name), FILE),
          e);
    }
  }

  private static String sha256(Path file) throws IOException {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
    var buffer = ByteBuffer.allocate(1 << 20);
    try (var channel = FileChannel.open(file, StandardOpenOption.READ)) {
      while (channel.read(buffer.clear()) >= 0) {
        digest.update(buffer.flip());
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
