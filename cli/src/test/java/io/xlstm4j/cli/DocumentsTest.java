package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class DocumentsTest {
  private static final Path ROOT = Path.of("..");

  /// `[text](target)`, and `[name]: target` on a line of its own; without what follows a #.
  private static final Pattern LINK =
      Pattern.compile("\\]\\(([^)#\\s]+)|^\\[[^\\]]+]:\\s*([^#\\s]+)", Pattern.MULTILINE);

  @Test
  void every_link_in_the_documents_leads_to_a_file() throws IOException {
    var documents = new ArrayList<Path>(List.of(ROOT.resolve("README.md")));
    try (Stream<Path> files = Files.walk(ROOT.resolve("docs"))) {
      files.filter(file -> file.toString().endsWith(".md")).forEach(documents::add);
    }
    var links = new ArrayList<Path>();
    for (Path document : documents) {
      Matcher link = LINK.matcher(Files.readString(document));
      while (link.find()) {
        String target = link.group(1) == null ? link.group(2) : link.group(1);
        if (!target.startsWith("http")) {
          links.add(document.resolveSibling(target));
        }
      }
    }
    assertThat(links).hasSizeGreaterThan(100);
    assertThat(links).allSatisfy(link -> assertThat(link).exists());
  }
}
