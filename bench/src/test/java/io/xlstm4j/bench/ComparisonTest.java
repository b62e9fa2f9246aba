package io.xlstm4j.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.xlstm4j.core.InvalidInputException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class ComparisonTest {
  private static Comparison of(String... lines) {
    return Comparison.of(Stream.of(lines).map(Measurement::parse).toList());
  }

  private static String line(String peer, String name, double ms, String more) {
    return "{\"peer\":\"%s\",\"case\":\"%s\",\"threads\":2,\"ms\":%s%s}"
        .formatted(peer, name, ms, more);
  }

  @Test
  void takes_the_median_of_the_rounds_on_either_side() {
    Comparison comparison =
        of(
            line("xlstm4j", "step", 10, ""),
            line("eager", "step", 30, ""),
            line("compiled", "step", 20, ""),
            line("xlstm4j", "step", 20, ""),
            line("eager", "step", 90, ""),
            line("compiled", "step", 22, ""));

    assertThat(comparison.rows())
        .extracting(Comparison.Row::peer, Comparison.Row::ms, Comparison.Row::peerMs)
        .containsExactly(tuple("eager", 15.0, 60.0), tuple("compiled", 15.0, 21.0));
    assertThat(comparison.rows().getFirst().ratio()).isEqualTo(4);
  }

  @Test
  void puts_a_case_beside_the_peers_case_that_it_names() {
    Comparison comparison =
        of(
            line("xlstm4j", "whole", 10, ",\"beside\":\"by steps\""),
            line("peer", "by steps", 40, ""),
            line("peer", "whole", 1, ""));
    assertThat(comparison.rows()).hasSize(1);
    assertThat(comparison.rows().getFirst().ratio()).isEqualTo(4);
  }

  @Test
  void a_case_that_only_one_side_has_makes_no_row() {
    assertThat(of(line("xlstm4j", "a", 1, ""), line("peer", "b", 1, "")).rows()).isEmpty();
  }

  @Test
  void refuses_to_compare_unequal_sizes() {
    assertThatThrownBy(() ->
            of(line("xlstm4j", "step", 1, ",\"S\":256"), line("peer", "step", 1, ",\"S\":512")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage("step: S is 256 here but 512 at peer; only equal sizes compare");
  }

  @Test
  void prints_a_table_in_markdown() {
    String table =
        of(
                line("xlstm4j", "step", 250, ",\"tokens_per_s\":8192"),
                line("peer", "step", 1000, ",\"tokens_per_s\":2048"))
            .toMarkdown();
    assertThat(List.of(table.split("\n", -1)))
        .containsExactly(
            "| case | peer | peer, ms | xlstm4j, ms | peer, tokens/s | xlstm4j, tokens/s | ratio |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
            "| step | peer | 1,000 | 250 | 2,048 | 8,192 | 4.00 |",
            "");
  }
}
