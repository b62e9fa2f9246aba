import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;

/// Compiles the kernels of this module by NVRTC, which needs no GPU, and writes the binaries and the hashes of all files.
/// The profile `cuda-compile` runs it; by hand:
///
///     java --enable-native-access=ALL-UNNAMED src/build/java/CompileKernels.java NVRTC_FOLDER
///
/// with this module as the working folder. Prints the registers, shared memory and spills of every kernel.
public final class CompileKernels {
  private static final Path SOURCES = Path.of("src/main/cuda");

  /// Headers for all sources.
  private static final Path COMMON = SOURCES.resolve("common");

  private static final Path BINARIES = Path.of("src/main/resources/io/xlstm4j/cuda");
  private static final Path HASHES = BINARIES.resolve("binaries.sha256");

  /// Real chips get machine code; newer ones compile the intermediate code in the driver.
  private static final List<String> CHIPS = List.of("sm_80", "sm_89", "sm_90a", "compute_90");

  private static final Pattern KERNEL = Pattern.compile("Compiling entry function '(\\w+)'");
  private static final Pattern FACTS =
      Pattern.compile("(Used \\d+ registers.*|\\d+ bytes stack frame.*)");

  private final Arena arena = Arena.ofConfined();
  private final SymbolLookup nvrtc;

  private CompileKernels(Path folder) throws IOException {
    Path library;
    try (var files = Files.walk(folder)) {
      library =
          files
              .filter(f -> f.getFileName().toString().startsWith("libnvrtc.so"))
              .findFirst()
              .orElseThrow();
    }
    try (var files = Files.list(library.getParent())) { // NVRTC opens its builtins by name, later
      files
          .filter(f -> f.getFileName().toString().startsWith("libnvrtc-builtins"))
          .forEach(f -> SymbolLookup.libraryLookup(f, Arena.global()));
    }
    nvrtc = SymbolLookup.libraryLookup(library, Arena.global());
  }

  public static void main(String[] args) throws Exception {
    new CompileKernels(Path.of(args[0])).run();
  }

  private void run() throws Exception {
    List<Path> files;
    try (var all = Files.walk(SOURCES)) {
      files = all.filter(Files::isRegularFile).sorted().toList();
    }
    for (Path source : files) {
      String name = source.getFileName().toString();
      if (!name.endsWith(".cu")) {
        continue;
      }
      for (String chip : CHIPS) {
        if (name.equals("cluster.cu") && !chip.endsWith("90") && !chip.endsWith("90a")) {
          continue; // clusters begin with sm_90
        }
        if (name.equals("hopper.cu") && !chip.equals("sm_90a")) {
          continue; // what it uses exists there alone
        }
        String kind = chip.startsWith("sm_") ? "cubin" : "ptx";
        byte[] binary = compile(source, headersOf(source, files), chip, kind);
        Path to =
            BINARIES
                .resolve(SOURCES.relativize(source).getParent())
                .resolve(name.replace(".cu", "." + chip + "." + kind + ".gz"));
        Files.createDirectories(to.getParent());
        Files.write(to, packed(binary));
        System.out.printf("%s: %,d bytes, packed %,d%n%n", to, binary.length, Files.size(to));
      }
    }
    writeHashes(files);
  }

  private static List<Path> headersOf(Path source, List<Path> files) {
    return files.stream()
        .filter(f -> f.toString().endsWith(".cuh"))
        .filter(f -> f.getParent().equals(source.getParent()) || f.getParent().equals(COMMON))
        .toList();
  }

  private byte[] compile(Path source, List<Path> headers, String chip, String kind)
      throws Exception {
    MemorySegment program = arena.allocate(ADDRESS);
    var texts = new ArrayList<String>();
    var names = new ArrayList<String>();
    for (Path header : headers) {
      texts.add(Files.readString(header));
      names.add(header.getFileName().toString());
    }
    must(
        "nvrtcCreateProgram",
        program,
        arena.allocateFrom(Files.readString(source)),
        arena.allocateFrom(source.getFileName().toString()),
        headers.size(),
        strings(texts),
        strings(names));
    MemorySegment handle = program.get(ADDRESS, 0);
    var options = List.of("--gpu-architecture=" + chip, "--std=c++17", "--ptxas-options=-v");
    int code = call("nvrtcCompileProgram", handle, options.size(), strings(options));
    String log =
        new String(output(handle, "nvrtcGetProgramLog"), StandardCharsets.UTF_8)
            .replace("\0", "")
            .strip();
    System.out.println("== " + source + " for " + chip);
    if (code != 0) {
      throw new IllegalStateException("nvrtcCompileProgram gave " + code + "\n" + log);
    }
    report(log);
    return kind.equals("ptx")
        ? forOlderDrivers(
            new String(output(handle, "nvrtcGetPTX"), StandardCharsets.UTF_8).replace("\0", ""))
        : output(handle, "nvrtcGetCUBIN");
  }

  /// NVRTC writes its own version of the language, which only drivers as new as itself read. The
  /// kernels use nothing newer than 8.6, the version of the first drivers for chips after sm_90.
  private static byte[] forOlderDrivers(String ptx) {
    return ptx.replaceFirst("(?m)^\\.version .*$", ".version 8.6").getBytes(StandardCharsets.UTF_8);
  }

  private static void report(String log) {
    String kernel = "";
    var facts = new TreeMap<String, String>();
    for (String line : log.split("\n")) {
      var name = KERNEL.matcher(line);
      var fact = FACTS.matcher(line);
      if (name.find()) {
        kernel = name.group(1);
      } else if (fact.find()) {
        facts.merge(kernel, fact.group(1), (a, b) -> b + "; " + a);
      } else if (line.contains("warning") || line.contains("error")) {
        System.out.println(line);
      }
    }
    facts.forEach((name, all) -> System.out.printf("  %-28s %s%n", name, all));
  }

  /// What `nvrtcGet...Size` and `nvrtcGet...` give.
  private byte[] output(MemorySegment program, String call) throws Exception {
    MemorySegment size = arena.allocate(JAVA_LONG);
    must(call + "Size", program, size);
    MemorySegment bytes = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)), 16);
    must(call, program, bytes);
    return bytes.toArray(JAVA_BYTE);
  }

  private MemorySegment strings(List<String> all) {
    MemorySegment array = arena.allocate(ADDRESS, Math.max(1, all.size()));
    for (int i = 0; i < all.size(); i++) {
      array.setAtIndex(ADDRESS, i, arena.allocateFrom(all.get(i)));
    }
    return array;
  }

  private void must(String name, Object... given) throws Exception {
    int code = call(name, given);
    if (code != 0) {
      throw new IllegalStateException(name + " gave " + code);
    }
  }

  private int call(String name, Object... given) throws Exception {
    var layouts = new MemoryLayout[given.length];
    for (int i = 0; i < given.length; i++) {
      layouts[i] = given[i] instanceof Integer ? JAVA_INT : ADDRESS;
    }
    var handle =
        Linker.nativeLinker()
            .downcallHandle(
                nvrtc.find(name).orElseThrow(), FunctionDescriptor.of(JAVA_INT, layouts));
    try {
      return (int) handle.invokeWithArguments(given);
    } catch (Throwable e) {
      throw new IllegalStateException(name, e);
    }
  }

  private static byte[] packed(byte[] bytes) throws IOException {
    var to = new ByteArrayOutputStream();
    try (var zip =
        new GZIPOutputStream(to) {
          {
            def.setLevel(Deflater.BEST_COMPRESSION);
          }
        }) {
      zip.write(bytes);
    }
    return to.toByteArray();
  }

  /// One line a file as `sha256sum -c` reads them, sources and binaries.
  private static void writeHashes(List<Path> sources) throws Exception {
    var all = new ArrayList<>(sources);
    try (var files = Files.walk(BINARIES)) {
      files.filter(f -> f.toString().endsWith(".gz")).sorted().forEach(all::add);
    }
    var lines = new StringBuilder();
    for (Path file : all) {
      byte[] hash = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
      lines.append(HexFormat.of().formatHex(hash)).append("  ").append(file).append('\n');
    }
    Files.writeString(HASHES, lines);
  }
}
