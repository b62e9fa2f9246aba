import com.google.googlejavaformat.java.Main;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// Checks the format of every Java file of this repository, or writes it (argument `write`).
///
/// The build starts it on JDK 25 with google-java-format on the class path: the formatter parses
/// with the compiler of the JDK that it runs on, and Maven itself may run on an older one.
void main(String[] arguments) throws Exception {
  boolean write = arguments.length > 0 && arguments[0].equals("write");
  var command = new ArrayList<String>(List.of("--skip-reflowing-long-strings"));
  command.addAll(write ? List.of("--replace") : List.of("--dry-run", "--set-exit-if-changed"));
  command.addAll(sources(Path.of("")));
  var formatter =
      new Main(new PrintWriter(System.out, true), new PrintWriter(System.err, true), System.in);
  int code = formatter.format(command.toArray(String[]::new));
  if (code != 0 && !write) {
    System.err.println(
        "These files are not formatted. To format them: ./mvnw -q -pl .mvn/format verify -Dformat=write");
  }
  System.exit(code);
}

List<String> sources(Path root) throws IOException {
  try (Stream<Path> files = Files.walk(root)) {
    return files
        .filter(file -> file.toString().endsWith(".java"))
        .filter(file ->
            Stream.of("target", "runs")
                .noneMatch(
                    name -> file.startsWith(name) || file.toString().contains("/" + name + "/")))
        .map(Path::toString)
        .sorted()
        .toList();
  }
}
