package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.logging.MetricNames;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/// Keys, defaults, metrics, options, files and classes that the documents name are those of the
/// code.
class DocumentedNamesTest {
  private static final Path ROOT = Path.of("..");

  /// A row of a table: a key in code quotes, then its default.
  private static final Pattern ROW = Pattern.compile("(?m)^\\| `(\\w+)` \\| ([^|]*) \\|");

  private static String read(String document) throws IOException {
    return Files.readString(ROOT.resolve(document));
  }

  /// The tables of a document by the section in the heading before them.
  private static Map<String, Map<String, String>> tables(String document) throws IOException {
    var tables = new LinkedHashMap<String, Map<String, String>>();
    for (String part : read(document).split("(?m)^#+ ", -1)) {
      var rows = new LinkedHashMap<String, String>();
      ROW.matcher(part).results().forEach(row -> rows.put(row.group(1), row.group(2).strip()));
      tables.put(part.lines().findFirst().orElse("").replace("`", ""), rows);
    }
    return tables;
  }

  private static Set<String> keys(JsonNode section) {
    return section.properties().stream().map(Map.Entry::getKey).collect(Collectors.toSet());
  }

  private static void assertDefault(String key, String documented, JsonNode value) {
    String first = documented.split("[;,] ", -1)[0].replace("`", "").replace(",", "");
    if (value.isNumber()) {
      assertThat(Double.parseDouble(first)).as(key).isEqualTo(value.asDouble());
    } else if (value.isNull()) {
      assertThat(first).as(key).isIn("null", "none");
    } else if (value.isTextual()) {
      assertThat(first.replace("\"\"", "").replace("none", "")).as(key).isEqualTo(value.asText());
    } else if (value.isArray()) {
      assertThat(first.replace(" ", "")).as(key).isEqualTo(value.toString().replace("\"", ""));
    } else {
      assertThat(first).as(key).isEqualTo(value.asText());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "data",
        "training",
        "optimizer",
        "schedule",
        "validation",
        "checkpoints",
        "logging",
        "samples"
      })
  void every_key_of_a_run_stands_in_the_documents_with_its_default(String section)
      throws IOException {
    ObjectNode defaults = RunConfig.DEFAULT.toTree();
    Map<String, String> documented = tables("docs/training.md").getOrDefault(section, Map.of());
    assertThat(documented.keySet()).isEqualTo(keys(defaults.get(section)));
    documented.forEach((key, text) -> assertDefault(key, text, defaults.get(section).get(key)));
  }

  @Test
  void every_key_of_series_stands_in_the_documents() throws IOException {
    ObjectNode tree =
        RunConfig.DEFAULT
            .with(RunConfigFile.parse("series: {file: a.csv, target_columns: [y]}", ""), "")
            .toTree();
    var documented = new HashSet<String>();
    tables("docs/series.md").values().forEach(rows -> documented.addAll(rows.keySet()));
    assertThat(documented).containsAll(keys(tree.get("series")));
  }

  @Test
  void every_key_of_a_model_stands_in_the_documents() throws IOException {
    var documented = new HashSet<String>();
    tables("docs/configuration.md").values().forEach(rows -> documented.addAll(rows.keySet()));
    ObjectNode model = (ObjectNode) RunConfig.DEFAULT.toTree().get("model");
    assertThat(documented).containsAll(keys(model));
    assertThat(documented).containsAll(keys(model.get("mlstm_block").get("mlstm")));
    assertThat(documented).containsAll(keys(model.get("slstm_block").get("slstm")));
    assertThat(documented).containsAll(keys(model.get("slstm_block").get("feedforward")));
  }

  @Test
  void every_standard_metric_stands_in_the_documents() throws IOException {
    String document = read("docs/logging.md");
    assertThat(MetricNames.STANDARD)
        .allSatisfy(name -> assertThat(document).contains("`" + name + "`"));
  }

  @Test
  void every_option_in_the_documents_is_one_of_a_command() throws IOException {
    var options = new TreeSet<String>();
    for (CommandLine command : Main.commandLine().getSubcommands().values()) {
      addOptions(command, options);
    }
    for (String document :
        List.of(
            "README.md",
            "docs/training.md",
            "docs/inference.md",
            "docs/data.md",
            "docs/series.md",
            "docs/distributed.md",
            "docs/common-errors.md",
            "docs/benchmarks.md",
            "docs/checkpoint-format.md")) {
      List<String> named =
          Pattern.compile("(?m)xlstm (?:[a-z]+ )[^`\\n]*")
              .matcher(read(document))
              .results()
              .map(MatchResult::group)
              .flatMap(line -> Pattern.compile("(?<= )--[a-z][\\w-]*").matcher(line).results())
              .map(MatchResult::group)
              .toList();
      assertThat(options).as(document).containsAll(named);
    }
  }

  private static void addOptions(CommandLine command, Set<String> options) {
    command.getCommandSpec().options().forEach(option -> options.addAll(List.of(option.names())));
    command.getSubcommands().values().forEach(inner -> addOptions(inner, options));
  }

  @Test
  void every_class_on_the_page_of_the_architecture_is_in_the_sources() throws IOException {
    var classes = new HashSet<String>();
    try (Stream<Path> files = Files.walk(ROOT)) {
      files
          .map(file -> String.valueOf(file.getFileName()))
          .filter(name -> name.endsWith(".java"))
          .forEach(name -> classes.add(name.replace(".java", "")));
    }
    var missing = new ArrayList<String>();
    Pattern.compile("\\b[A-Z][a-z]+(?:[A-Z][a-z0-9]+)+\\b")
        .matcher(read("docs/architecture.md"))
        .results()
        .map(MatchResult::group)
        .filter(name -> !classes.contains(name))
        .forEach(missing::add);
    assertThat(missing).isEmpty();
  }
}
