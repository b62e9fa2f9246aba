package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.apache.commons.compress.archivers.ArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveOutputStream;
import org.apache.commons.compress.compressors.gzip.GzipCompressorOutputStream;

/// An archive of this program: a Java runtime (jlink), the jars without what no run reads, the
/// launchers, the licences. Inside it everything lies in one folder of the archive's name.
final class Bundle {
  /// Modules of the JDK that the program and its libraries use.
  private static final String JAVA_MODULES =
      "java.base,java.desktop,java.logging,java.management,java.xml,java.naming,"
          + "jdk.incubator.vector,jdk.jfr,jdk.management,jdk.unsupported,jdk.zipfs";

  private static final List<String> LICENCES = List.of("LICENSE", "NOTICE", "THIRD-PARTY.md");
  private static final List<String> LAUNCHERS = List.of("xlstm", "xlstm.cmd");

  private static final Pattern LIBTORCH =
      Pattern.compile("pytorch-.*?-(linux|macosx|windows)-(\\w+?)(-gpu)?\\.jar");

  /// Entries of native jars that only compilers of C++ read, and OpenBLAS's bindings that
  /// libtorch's do not load.
  private static final Pattern NOT_READ =
      Pattern.compile(
          "org/bytedeco/.*/(include|lib)/.*|.*\\.(cmake|cpp|h|a|lib|pc)"
              + "|org/bytedeco/openblas/[^/]+/(lib)?jniopenblas_full\\.(so|dylib|dll)");

  private static final int EXECUTABLE = 0755;

  private final Path program;
  private final String system;
  private final String processor;
  private final boolean cuda;

  private Bundle(Path program, String system, String processor, boolean cuda) {
    this.program = program;
    this.system = system;
    this.processor = processor;
    this.cuda = cuda;
  }

  /// @param program folder of the program's jars, in a built clone: `cli/target/app`
  /// @throws InvalidInputException if the folder has no libtorch for one platform
  static Bundle of(Path program) throws IOException {
    try (Stream<Path> files = Files.list(program)) {
      List<Matcher> found =
          files
              .map(file -> LIBTORCH.matcher(String.valueOf(file.getFileName())))
              .filter(Matcher::matches)
              .toList();
      if (found.size() != 1) {
        throw new InvalidInputException(
            "%s: %s; start ./xlstm from a clone to build the program"
                .formatted(
                    program,
                    found.isEmpty()
                        ? "no native libtorch is here"
                        : "native libtorch of several platforms is here"));
      }
      Matcher libtorch = found.getFirst();
      return new Bundle(program, libtorch.group(1), libtorch.group(2), libtorch.group(3) != null);
    }
  }

  boolean hasCuda() {
    return cuda;
  }

  /// The folder inside the archive, for example `xlstm4j-linux-x86_64`.
  String name() {
    return "xlstm4j-%s-%s%s".formatted(system, processor, cuda ? "-cuda" : "");
  }

  /// Writes the archive; a file of this name stays as it is until the new one is complete.
  ///
  /// @param out ends with `.tar.gz`, `.tgz` or `.zip`
  /// @throws InvalidInputException if it ends otherwise, cannot be written, or this Java has no
  ///   jlink
  void write(Path out) throws IOException {
    String file = String.valueOf(out.getFileName()).toLowerCase(Locale.ROOT);
    boolean zip = file.endsWith(".zip");
    if (!zip && !file.endsWith(".tar.gz") && !file.endsWith(".tgz")) {
      throw new InvalidInputException(
          "--out %s: must end with .tar.gz, .tgz or .zip".formatted(out));
    }
    Path parent = out.toAbsolutePath().getParent();
    if (parent == null || !Files.isDirectory(parent) || Files.isDirectory(out)) {
      throw new InvalidInputException(
          "--out %s: %s".formatted(out, Files.isDirectory(out) ? "is a folder" : "no such folder"));
    }
    Path work;
    try {
      work = Files.createTempDirectory(parent, ".bundle");
    } catch (IOException e) {
      throw new InvalidInputException(
          "--out %s: cannot be written: %s".formatted(out, OneLine.reason(e)), e);
    }
    try {
      Path folder = Files.createDirectory(work.resolve(name()));
      linkRuntime(folder.resolve("runtime"));
      copyJars(Files.createDirectory(folder.resolve("app")));
      copyFiles(folder);
      Path archive = work.resolve("archive");
      if (zip) {
        var entries = new ZipArchiveOutputStream(archive);
        archive(work, folder, entries, Bundle::zipEntry);
      } else {
        var entries =
            new TarArchiveOutputStream(
                new GzipCompressorOutputStream(Files.newOutputStream(archive)), "UTF-8");
        entries.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
        archive(work, folder, entries, Bundle::tarEntry);
      }
      Files.move(archive, out, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      delete(work);
    }
  }

  private static void linkRuntime(Path to) {
    ToolProvider jlink =
        ToolProvider.findFirst("jlink")
            .orElseThrow(() ->
                new InvalidInputException(
                    "this Java (%s) has no jlink; a bundle is made by a whole JDK 25"
                        .formatted(System.getProperty("java.home"))));
    var output = new StringWriter();
    var writer = new PrintWriter(output);
    int code =
        jlink.run(
            writer,
            writer,
            "--add-modules",
            JAVA_MODULES,
            "--strip-debug",
            "--no-header-files",
            "--no-man-pages",
            "--output",
            to.toString());
    if (code != 0) {
      throw new InvalidInputException("jlink failed: " + OneLine.of(output.toString()));
    }
  }

  private void copyJars(Path to) throws IOException {
    for (Path jar : sorted(program, 1)) {
      String file = String.valueOf(jar.getFileName());
      if (!file.endsWith(".jar")) {
        continue;
      }
      if (file.startsWith("pytorch-")
          || file.startsWith("openblas-")
          || file.startsWith("tokenizers-")) {
        copyPruned(jar, to.resolve(file));
      } else {
        Files.copy(jar, to.resolve(file));
      }
    }
  }

  private void copyPruned(Path jar, Path to) throws IOException {
    try (var from = new ZipFile(jar.toFile());
        var out = new ZipOutputStream(Files.newOutputStream(to))) {
      for (ZipEntry entry : from.stream().filter(entry -> isRead(entry.getName())).toList()) {
        var copy = new ZipEntry(entry.getName());
        copy.setLastModifiedTime(entry.getLastModifiedTime());
        out.putNextEntry(copy);
        try (InputStream in = from.getInputStream(entry)) {
          in.transferTo(out);
        }
        out.closeEntry();
      }
    }
  }

  /// Returns whether a run on this platform may read an entry of a jar.
  boolean isRead(String entry) {
    if (NOT_READ.matcher(entry).matches()) {
      return false;
    }
    if (!entry.startsWith("native/lib/")) {
      return true;
    }
    // DJL's jar has its library for all platforms
    String here =
        switch (system) {
          case "macosx" -> "osx-";
          case "windows" -> "win-";
          default -> "linux-";
        };
    String chip = processor.equals("arm64") ? "aarch64" : processor;
    return entry.startsWith("native/lib/" + here + chip) || entry.indexOf('/', 11) < 0;
  }

  private void copyFiles(Path to) throws IOException {
    Path clone = program.toAbsolutePath().resolve("../../..").normalize();
    for (String file : LICENCES) {
      Files.copy(clone.resolve(file), to.resolve(file));
    }
    for (String file : LAUNCHERS) {
      Files.copy(clone.resolve(file), to.resolve(file), StandardCopyOption.COPY_ATTRIBUTES);
    }
  }

  /// Makes the entry of a file in one of the two kinds of archives.
  private interface EntryMaker<E> {
    E entry(Path file, String name) throws IOException;
  }

  private static ZipArchiveEntry zipEntry(Path file, String name) throws IOException {
    var entry = new ZipArchiveEntry(file, name);
    entry.setUnixMode(mode(file));
    return entry;
  }

  private static TarArchiveEntry tarEntry(Path file, String name) throws IOException {
    var entry = new TarArchiveEntry(file, name);
    entry.setMode(mode(file));
    entry.setIds(0, 0);
    entry.setNames("root", "root");
    return entry;
  }

  private static int mode(Path file) {
    return Files.isDirectory(file) || Files.isExecutable(file) ? EXECUTABLE : 0644;
  }

  private static <E extends org.apache.commons.compress.archivers.ArchiveEntry> void archive(
      Path work, Path folder, ArchiveOutputStream<E> to, EntryMaker<E> maker) throws IOException {
    try (to) {
      for (Path file : sorted(folder, Integer.MAX_VALUE)) {
        String name = work.relativize(file).toString().replace('\\', '/');
        to.putArchiveEntry(maker.entry(file, Files.isDirectory(file) ? name + "/" : name));
        if (!Files.isDirectory(file)) {
          Files.copy(file, (OutputStream) to);
        }
        to.closeArchiveEntry();
      }
    }
  }

  private static List<Path> sorted(Path folder, int depth) throws IOException {
    try (Stream<Path> files = Files.walk(folder, depth)) {
      return files.sorted().toList();
    }
  }

  private static void delete(Path folder) throws IOException {
    List<Path> files = new ArrayList<>(sorted(folder, Integer.MAX_VALUE));
    files.sort(Comparator.reverseOrder());
    for (Path file : files) {
      try {
        Files.deleteIfExists(file);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
