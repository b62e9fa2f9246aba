package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/// The help of every command in a terminal of 80 columns.
class HelpTest {
  private static List<CommandLine> commands(CommandLine of) {
    var all = new ArrayList<>(List.of(of));
    of.getSubcommands().values().forEach(each -> all.addAll(commands(each)));
    return all;
  }

  private static String usage(CommandLine command, int width) {
    command.setUsageHelpAutoWidth(false).setUsageHelpWidth(width);
    return command.getUsageMessage();
  }

  @Test
  void no_line_is_longer_than_80_columns_and_no_word_is_broken() {
    List<CommandLine> commands = commands(Main.commandLine());
    assertThat(commands).hasSizeGreaterThan(10);
    for (CommandLine command : commands) {
      String narrow = usage(command, 80);
      assertThat(narrow.lines())
          .as(command.getCommandName())
          .allSatisfy(line -> assertThat(line.length()).isLessThanOrEqualTo(80));
      assertThat(narrow.split("\\s+"))
          .as(command.getCommandName())
          .containsAll(Arrays.asList(usage(command, 400).split("\\s+")));
    }
  }
}
