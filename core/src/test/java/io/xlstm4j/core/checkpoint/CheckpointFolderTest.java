package io.xlstm4j.core.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointFolderTest {
  private static final String SHA256_OF_ABC =
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

  @TempDir Path temporary;

  private Path checkpoint() {
    Path dir = temporary.resolve("out");
    CheckpointFolder.replace(
        dir,
        staging -> {
          Files.writeString(staging.resolve("b.json"), "abc");
          Files.writeString(Files.createDirectory(staging.resolve("a")).resolve("x"), "");
        });
    return dir;
  }

  @Test
  void the_manifest_names_size_and_hash_of_every_file_in_order() {
    assertThat(checkpoint().resolve("manifest.json"))
        .hasContent(
            """
            {
              "a/x": {"size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
              "b.json": {"size": 3, "sha256": "%s"}
            }
            """
                .formatted(SHA256_OF_ABC));
  }

  @Test
  void update_keeps_files_that_it_does_not_write_and_their_hashes() throws Exception {
    Path dir = checkpoint();
    Files.writeString(dir.resolve("notes"), "mine");
    CheckpointFolder.update(dir, staging -> Files.writeString(staging.resolve("c"), "new"));
    assertThat(dir.resolve("b.json")).hasContent("abc");
    assertThat(dir.resolve("notes")).hasContent("mine");
    assertThat(dir.resolve("c")).hasContent("new");
    assertThat(Files.readString(dir.resolve("manifest.json")))
        .contains("\"a/x\"", "\"b.json\"", "\"c\"")
        .doesNotContain("notes");
    CheckpointFolder.verify(dir);
    Files.writeString(dir.resolve("b.json"), "abd");
    assertThatThrownBy(() -> CheckpointFolder.verify(dir))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(dir.resolve("b.json") + ": has SHA-256 a52d159f")
        .hasMessageEndingWith(", but manifest.json says " + SHA256_OF_ABC);
  }

  @Test
  void replace_keeps_nothing() {
    Path dir = checkpoint();
    CheckpointFolder.replace(dir, staging -> Files.writeString(staging.resolve("c"), "new"));
    assertThat(dir).isDirectoryNotContaining("glob:**/b.json");
    assertThat(dir.resolve("c")).hasContent("new");
    CheckpointFolder.verify(dir);
  }

  @Test
  void verify_names_a_file_that_is_short_or_missing() throws Exception {
    Path dir = checkpoint();
    Path file = dir.resolve("b.json");
    Files.writeString(file, "ab");
    assertInvalid(
        () -> CheckpointFolder.verify(dir), file + ": has 2 bytes, but manifest.json says 3");
    assertInvalid(
        () -> CheckpointFolder.open(dir), file + ": has 2 bytes, but manifest.json says 3");
    Files.delete(file);
    assertInvalid(
        () -> CheckpointFolder.verify(dir),
        file + ": is named in manifest.json (3 bytes), but is not there");
  }

  @Test
  void a_folder_without_a_manifest_is_accepted_and_left_as_it_is() throws Exception {
    Path dir = Files.createDirectory(temporary.resolve("foreign"));
    Files.writeString(dir.resolve("config.json"), "{}");
    assertThat(CheckpointFolder.open(dir)).isEqualTo(dir);
    CheckpointFolder.verify(dir);
    CheckpointFolder.recover(dir);
    assertThat(dir).isDirectoryContaining("glob:**/config.json");
    try (var all = Files.list(dir)) {
      assertThat(all).hasSize(1);
    }
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"../x\": {}} | '../x' must be the name of a file in the folder",
        "{\"/etc/passwd\": {}} | '/etc/passwd' must be the name of a file in the folder",
        "{\"a//x\": {}} | 'a//x' must be the name",
        "{\"\": {}} | '' must be the name",
        "{\"x\": {\"size\": 1, \"sha256\": \"AB\"}} | 'x': sha256 (AB) must be 64 hexadecimal digits",
        "{\"x\": {\"sha256\": \"AB\"}} | 'x': size (-1) must not be negative",
        "{\"x\": {\"size\": -1}} | 'x': size must not be negative, but is -1",
        "{\"x\": {\"md5\": \"\"}} | 'x': unknown key 'md5'",
        "{\"x\": 1} | 'x' must be an object, but is an integer",
        "{} {} | text after the end",
        "[ | the manifest must be an object",
        "{ | not valid JSON",
      })
  void a_broken_manifest_is_one_line(String content, String message) throws Exception {
    Path dir = checkpoint();
    Files.writeString(dir.resolve("manifest.json"), content);
    assertThatThrownBy(() -> CheckpointFolder.verify(dir))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(dir.resolve("manifest.json") + ": ")
        .hasMessageContaining(message)
        .message()
        .hasLineCount(1);
  }

  @Test
  void a_full_disk_keeps_the_old_checkpoint_and_leaves_nothing() throws Exception {
    Path dir = checkpoint();
    CheckpointFolder.Filler full =
        staging -> {
          Files.writeString(staging.resolve("b.json"), "half");
          throw new IOException("No space left on device");
        };
    String message = dir + ": cannot be written: No space left on device";
    assertInvalid(() -> CheckpointFolder.update(dir, full), message);
    assertInvalid(() -> CheckpointFolder.replace(dir, full), message);
    CheckpointFolder.verify(dir);
    assertThat(dir.resolve("b.json")).hasContent("abc");
    try (var all = Files.walk(temporary)) {
      assertThat(all)
          .containsExactlyInAnyOrder(
              temporary,
              dir,
              dir.resolve("a"),
              dir.resolve("a/x"),
              dir.resolve("b.json"),
              dir.resolve("manifest.json"));
    }
  }

  @Test
  void places_that_cannot_be_a_checkpoint_are_one_line() throws Exception {
    CheckpointFolder.Filler filler = staging -> Files.writeString(staging.resolve("x"), "");
    Path file = Files.writeString(temporary.resolve("file"), "x");
    assertInvalid(() -> CheckpointFolder.update(file, filler), file + ": is a file, not a folder");
    assertInvalid(() -> CheckpointFolder.replace(file, filler), file + ": is a file, not a folder");
    assertInvalid(() -> CheckpointFolder.verify(file), file + ": is a file, not a folder");
    assertInvalid(() -> CheckpointFolder.open(file), file + ": is a file, not a folder");
    Path gone = temporary.resolve("gone");
    Path below = gone.resolve("out");
    String noParent = below + ": cannot be written: " + gone + " is no folder";
    assertInvalid(() -> CheckpointFolder.update(below, filler), noParent);
    assertInvalid(() -> CheckpointFolder.replace(below, filler), noParent);
    assertInvalid(() -> CheckpointFolder.open(gone), gone + ": no such folder");
    Path inFile = file.resolve("out");
    assertInvalid(
        () -> CheckpointFolder.replace(inFile, filler),
        inFile + ": cannot be written: " + file + " is no folder");
    Path root = temporary.getRoot();
    assertInvalid(
        () -> CheckpointFolder.replace(root, filler), root + ": cannot be a checkpoint folder");
  }

  @ParameterizedTest(name = "update: {0}")
  @ValueSource(booleans = {true, false})
  void a_folder_that_may_not_be_written_is_one_line(boolean update) {
    Path dir = checkpoint();
    var ops =
        new FailingOps(Integer.MAX_VALUE) {
          @Override
          public void createFolder(Path folder) throws IOException {
            throw new AccessDeniedException(folder.toString());
          }
        };
    Path staging = update ? dir.resolve(".update.new") : temporary.resolve(".out.new");
    assertInvalid(
        () -> {
          if (update) {
            new CheckpointFolder(ops).updateWith(dir, _ -> {});
          } else {
            new CheckpointFolder(ops).replaceWith(dir, _ -> {});
          }
        },
        dir + ": cannot be written: " + staging + ": permission denied");
  }

  @Test
  void replace_removes_no_folder_that_is_not_a_checkpoint() throws Exception {
    Path home = Files.createDirectory(temporary.resolve("home"));
    CheckpointFolder.replace(home, staging -> Files.writeString(staging.resolve("x"), "1"));
    assertThat(home.resolve("x")).hasContent("1"); // an empty folder may be replaced
    Files.delete(home.resolve("manifest.json"));
    assertInvalid(
        () ->
            CheckpointFolder.replace(home, staging -> Files.writeString(staging.resolve("y"), "")),
        home
            + ": holds files but no manifest.json, so it is not replaced;"
            + " name a new or an empty folder");
    assertThat(home.resolve("x")).hasContent("1");
  }

  @Test
  void a_file_cannot_take_the_place_of_a_folder_and_nothing_moves() throws Exception {
    Path dir = checkpoint();
    assertInvalid(
        () -> CheckpointFolder.update(dir, staging -> Files.writeString(staging.resolve("a"), "")),
        dir.resolve("a") + ": is a folder, but a file of that name is to be written");
    assertInvalid(
        () ->
            CheckpointFolder.update(
                dir,
                staging -> {
                  Files.createDirectory(staging.resolve("b.json"));
                  Files.writeString(staging.resolve("b.json/x"), "");
                }),
        dir.resolve("b.json") + ": is a file, but a folder of that name is to be written");
    CheckpointFolder.verify(dir);
  }

  @Test
  void a_filler_may_not_write_a_manifest_or_a_link() {
    Path dir = checkpoint();
    assertThatThrownBy(() ->
            CheckpointFolder.update(
                dir, staging -> Files.writeString(staging.resolve("manifest.json"), "")))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() ->
            CheckpointFolder.replace(
                dir,
                staging -> Files.createSymbolicLink(staging.resolve("x"), Path.of("/etc/passwd"))))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("is a link or a device");
    CheckpointFolder.verify(dir);
  }

  @Test
  void a_link_to_a_folder_stays_a_link() throws Exception {
    Path dir = checkpoint();
    Path disk = Files.createDirectory(temporary.resolve("disk"));
    Path link = Files.createSymbolicLink(disk.resolve("link"), Path.of("../out"));
    CheckpointFolder.replace(link, staging -> Files.writeString(staging.resolve("c"), "new"));
    assertThat(link).isSymbolicLink();
    assertThat(dir.resolve("c")).hasContent("new");
  }

  @Test
  void an_unfinished_update_is_not_verified_but_opened() throws Exception {
    Path dir = checkpoint();
    Path ready = Files.createDirectory(dir.resolve(".update.ready"));
    Files.writeString(ready.resolve("b.json"), "new");
    Files.writeString(ready.resolve("manifest.json"), "{}");
    assertInvalid(
        () -> CheckpointFolder.verify(dir),
        dir + ": an update is unfinished (.update.ready); recover it first");
    CheckpointFolder.open(dir);
    assertThat(dir.resolve("b.json")).hasContent("new");
    CheckpointFolder.verify(dir);
  }

  @Test
  void open_leaves_alone_what_a_writer_is_writing() throws Exception {
    Path dir = checkpoint();
    CheckpointFolder.replace(
        dir,
        staging -> {
          Files.writeString(staging.resolve("x"), "half");
          CheckpointFolder.open(dir);
          Files.writeString(staging.resolve("y"), "other half");
        });
    CheckpointFolder.update(
        dir,
        staging -> {
          CheckpointFolder.open(dir);
          Files.writeString(staging.resolve("x"), "all");
        });
    assertThat(dir.resolve("x")).hasContent("all");
    assertThat(dir.resolve("y")).hasContent("other half");
  }

  private static void assertInvalid(ThrowingCallable call, String message) {
    assertThatThrownBy(call).isInstanceOf(InvalidInputException.class).hasMessage(message);
  }
}
