package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/// The poms and packages of what a project outside this build depends on.
class PublishedArtifactsTest {
  private static final Path ROOT = Path.of(System.getProperty("user.dir")).resolveSibling("");
  private static final Set<String> NOT_PUBLISHED = Set.of(".mvn/format", "bench", "cli");

  private static List<String> all(String pattern, String text) {
    return Pattern.compile(pattern).matcher(text).results().map(found -> found.group(1)).toList();
  }

  private static String first(String pattern, String text) {
    Matcher matcher = Pattern.compile(pattern).matcher(text);
    assertThat(matcher.find()).as("%s in %s", pattern, text).isTrue();
    return matcher.group(1);
  }

  private static String pom(String module) throws IOException {
    return Files.readString(ROOT.resolve(module).resolve("pom.xml"));
  }

  private static List<String> modules() throws IOException {
    return all("<module>(.*?)</module>", pom("."));
  }

  private static String artifact(String module) throws IOException {
    return first("</parent>\\s*<artifactId>(.*?)</artifactId>", pom(module));
  }

  @Test
  void the_bill_of_materials_names_every_published_artifact_in_the_version_of_the_build()
      throws IOException {
    String bom = pom("bom");
    var published = new HashSet<String>();
    for (String module : modules()) {
      if (!module.equals("bom") && !NOT_PUBLISHED.contains(module)) {
        published.add(artifact(module));
      }
    }
    List<String> managed = all("<artifactId>(.*?)</artifactId>", bom);
    assertThat(managed.getFirst()).isEqualTo("xlstm4j-bom");
    assertThat(managed.subList(1, managed.size())).containsExactlyInAnyOrderElementsOf(published);
    assertThat(first("<version>(.*?)</version>", bom))
        .isEqualTo(first("<artifactId>xlstm4j</artifactId>\\s*<version>(.*?)</version>", pom(".")));
  }

  @Test
  void every_pom_has_a_name_and_a_description_and_every_jar_a_module_name() throws IOException {
    for (String module : modules()) {
      String pom = pom(module);
      assertThat(pom).as(module).contains("<name>xlstm4j-", "<description>");
      if (!pom.contains("<packaging>pom</packaging>")) {
        assertThat(first("<module.name>(.*?)</module.name>", pom))
            .isEqualTo("io.xlstm4j." + module);
      }
    }
  }

  @Test
  void natives_exist_for_every_platform_that_a_profile_chooses() throws IOException {
    var platforms =
        new HashSet<String>(all("<native.classifier>(.+?)</native.classifier>", pom(".")));
    platforms.remove("linux-arm64"); // no libtorch is published for it
    platforms.add("linux-x86_64-cuda");
    assertThat(modules().stream().filter(module -> module.startsWith("natives/")))
        .containsExactlyInAnyOrderElementsOf(
            platforms.stream().map(platform -> "natives/" + platform).toList());
  }

  @Test
  void nothing_published_depends_on_something_that_is_not() throws IOException {
    for (String module : modules()) {
      boolean published = !NOT_PUBLISHED.contains(module);
      assertThat(pom(module).contains("<maven.deploy.skip>true")).as(module).isEqualTo(!published);
      if (published) {
        assertThat(pom(module)).as(module).doesNotContain("xlstm4j-bench", "xlstm4j-cli");
      }
    }
  }

  @Test
  void no_package_is_split_over_two_modules() {
    Map<String, Set<String>> places = new HashMap<>();
    for (JavaClass type :
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("io.xlstm4j")) {
      String uri = type.getSource().orElseThrow().getUri().toString();
      places
          .computeIfAbsent(type.getPackageName(), _ -> new HashSet<>())
          .add(uri.substring(0, uri.indexOf("/io/xlstm4j/")));
    }
    assertThat(places).hasSizeGreaterThan(20);
    assertThat(places.values()).allSatisfy(modules -> assertThat(modules).hasSize(1));
  }
}
