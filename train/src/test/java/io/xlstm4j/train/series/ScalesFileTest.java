package io.xlstm4j.train.series;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.SeriesConfig;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// `series.json` of this version, of the one before, and of hands.
class ScalesFileTest {
  @TempDir private Path folder;

  private static String older() throws IOException {
    try (InputStream in = ScalesFileTest.class.getResourceAsStream("/series-older/series.json")) {
      return new String(Objects.requireNonNull(in).readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private Scales read(String json) throws IOException {
    Files.writeString(folder.resolve(Scales.FILE_NAME), json);
    return Scales.read(folder);
  }

  @Test
  void a_file_of_the_version_before_has_defaults_for_newer_keys() throws IOException {
    Scales scales = read(older());
    assertThat(scales.byId()).containsEntry("small", Map.of("level", new Scale(5, 0.7071)));
    assertThat(scales.config().gaps()).isEqualTo(SeriesConfig.Gaps.REPORT);
    assertThat(scales.config().timeZone()).isEmpty();
    assertThat(scales.dateOrder()).isNull();
  }

  @Test
  void written_and_read_again_it_is_the_same() throws IOException {
    SeriesConfig config = read(older()).config();
    var scales =
        new Scales(
            config,
            Map.of("a", Map.of("level", new Scale(1e200, 7e-300)), "b", Map.of()),
            DateOrder.MONTH_FIRST);
    assertThat(read(scales.toJson())).isEqualTo(scales);
    var constant = new Scales(config, Map.of("a", Map.of("level", new Scale(5, 0))), null);
    assertThat(read(constant.toJson())).isEqualTo(constant);
  }

  @ParameterizedTest
  @CsvSource({
    "0.7071, -1, scales of level must have",
    "0.7071, '\"Infinity\"', scales of level must have",
    "0.7071, 1e999, scales of level must have",
    "'\"error\"', '\"perhaps\"', missing must be one of",
    "'\"horizon\"', '\"horizont\"', unknown key horizont"
  })
  void what_is_wrong_is_refused_in_one_line(String before, String after, String message)
      throws IOException {
    String json = older().replace(before, after);
    assertThatThrownBy(() -> read(json))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(Scales.FILE_NAME)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}
