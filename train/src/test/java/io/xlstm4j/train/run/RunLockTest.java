package io.xlstm4j.train.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.StrictBinder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Locks within one process; those between processes are tested on the whole program.
class RunLockTest {
  private static final RunLock.Locker NO_LOCKS =
      _ -> {
        throw new IOException("Function not implemented");
      };

  @TempDir private Path folder;
  private RunLock.Owner self;

  @BeforeEach
  void know_this_process() {
    self = RunLock.Owner.self();
  }

  private void write(RunLock.Owner owner) throws IOException {
    Files.writeString(
        folder.resolve(RunLock.FILE_NAME), StrictBinder.toJson(StrictBinder.toTree(owner)));
  }

  @Test
  void a_folder_is_refused_with_the_process_until_it_is_given_back() throws IOException {
    try (var _ = RunLock.take(folder)) {
      assertThatThrownBy(() -> RunLock.take(folder.resolve("../" + folder.getFileName())))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining("process " + self.pid() + " trains here");
      assertThatThrownBy(() -> RunLock.take(folder)) // the first refusal gave nothing back
          .hasMessageContaining("trains here");
      assertThat(folder.resolve(RunLock.FILE_NAME)).content().contains("" + self.pid());
    }
    RunLock.take(folder).close();
    assertThat(folder.resolve(RunLock.FILE_NAME)).isEmptyFile();
  }

  @Test
  void what_a_dead_owner_left_does_not_matter_where_the_system_has_locks() throws IOException {
    write(new RunLock.Owner(1, "elsewhere", null));
    RunLock.take(folder).close();
    Files.writeString(folder.resolve(RunLock.FILE_NAME), "{\"pid\" : 12"); // torn
    RunLock.take(folder).close();
  }

  @Test
  void without_locks_of_the_system_the_process_and_its_machine_decide() throws Exception {
    Process gone = new ProcessBuilder("true").start();
    gone.waitFor();
    write(new RunLock.Owner(gone.pid(), self.host(), null)); // dead
    RunLock.take(folder, NO_LOCKS).close();

    write(new RunLock.Owner(self.pid(), self.host(), "2001-01-01T00:00:00Z")); // before a reboot
    RunLock.take(folder, NO_LOCKS).close();

    Process lives = new ProcessBuilder("sleep", "60").start();
    try {
      var owner = new RunLock.Owner(lives.pid(), self.host(), null);
      write(owner);
      assertThatThrownBy(() -> RunLock.take(folder, NO_LOCKS))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining("process " + lives.pid() + " trains here");
      assertThat(folder.resolve(RunLock.FILE_NAME)).content().contains("" + lives.pid());
    } finally {
      lives.destroyForcibly();
    }
  }

  @Test
  void without_locks_a_process_of_another_machine_is_believed_and_the_file_is_named()
      throws IOException {
    write(new RunLock.Owner(7, "elsewhere", null));
    assertThatThrownBy(() -> RunLock.take(folder, NO_LOCKS))
        .hasMessageContaining("process 7 of elsewhere trains here; if that one has ended, remove")
        .hasMessageContaining(RunLock.FILE_NAME);
  }
}
