package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Changes checkpoint folders so that a crash at any moment leaves the old checkpoint or the new
/// one, never a mix.
///
/// New files are first written into a hidden staging folder and synced, with the manifest last. One
/// rename then makes them valid; everything after it can be repeated, and [#recover] repeats it. A
/// process that writes a folder must be the only one that does; readers may come and go.
///
/// Every error is an [InvalidInputException] of one line, and leaves the old checkpoint.
public final class CheckpointFolder {
  // Inside the folder, for an update: being filled; complete, to be moved into place.
  private static final String FILLING = ".update.new";
  private static final String READY = ".update.ready";

  private final FileOps ops;

  CheckpointFolder(FileOps ops) {
    this.ops = ops;
  }

  /// Writes the files of a checkpoint.
  @FunctionalInterface
  public interface Filler {
    /// Writes files, also in folders of its own, but no `manifest.json`.
    ///
    /// @param staging an empty folder, soon renamed: keep no path into it
    void fill(Path staging) throws IOException;
  }

  /// Writes some files of `dir` anew; files that `filler` does not write stay. At every instant
  /// each file is complete, old or new; while they change places there is no `manifest.json`. A
  /// missing `dir` is created. Also recovers `dir` first.
  ///
  /// @throws InvalidInputException if the system refuses, for example for want of space, or `dir`
  ///   is not a folder
  public static void update(Path dir, Filler filler) {
    new CheckpointFolder(FileOps.DISK).updateWith(dir, filler);
  }

  /// Writes `dir` anew as a whole: what `filler` does not write is gone afterwards. Uses
  /// `.NAME.new` and `.NAME.old` beside `dir` meanwhile, so needs space for both. Also recovers
  /// `dir` first.
  ///
  /// @throws InvalidInputException if the system refuses, if the parent of `dir` is missing, or if
  ///   `dir` holds files but no `manifest.json`: then it may be anything, and is not removed
  public static void replace(Path dir, Filler filler) {
    new CheckpointFolder(FileOps.DISK).replaceWith(dir, filler);
  }

  /// Finishes or undoes what a crash left of [#update] or [#replace]: a complete new checkpoint is
  /// put in its place, an incomplete one is removed. Does nothing where there is nothing to do. Not
  /// to be called while another process writes `dir`.
  ///
  /// @throws InvalidInputException if the system refuses
  public static void recover(Path dir) {
    new CheckpointFolder(FileOps.DISK).recoverWith(dir);
  }

  /// Makes `dir` ready to be read, also while another process writes it: finishes what a crash left
  /// half moved, removes nothing, and checks the sizes of [#verify] but not the hashes, so it takes
  /// no longer for a large checkpoint.
  ///
  /// @return `dir`
  /// @throws InvalidInputException if there is no such folder, the system refuses, or a file is
  ///   missing or has another size than the manifest says
  public static Path open(Path dir) {
    return new CheckpointFolder(FileOps.DISK).openWith(dir);
  }

  /// Compares every file with `manifest.json`, size and SHA-256. A folder without a manifest is
  /// accepted: other programs write none. Reads every byte.
  ///
  /// @throws InvalidInputException if there is no such folder, an update is unfinished, the
  ///   manifest is broken, or a file differs; the message names the file and both values
  public static void verify(Path dir) {
    verify(dir, true);
  }

  private static void verify(Path dir, boolean content) {
    guarded(
        dir,
        "cannot be read",
        () -> {
          requireFolder(dir);
          if (Files.exists(dir.resolve(READY))) {
            throw new InvalidInputException(
                OneLine.of(dir) + ": an update is unfinished (" + READY + "); recover it first");
          }
          @Nullable Manifest manifest = Manifest.read(dir);
          if (manifest != null) {
            manifest.verify(dir, content);
          }
        });
  }

  Path openWith(Path dir) {
    guarded(
        dir,
        "cannot be recovered",
        () -> {
          Path real = resolveLinks(dir);
          bringBack(real);
          requireFolder(real);
          finishUpdate(real);
        });
    verify(dir, false);
    return dir;
  }

  void recoverWith(Path dir) {
    guarded(dir, "cannot be recovered", () -> recoverReal(resolveLinks(dir)));
  }

  private void recoverReal(Path dir) throws IOException {
    finishReplace(dir);
    deleteTree(beside(dir, ".new"));
    if (Files.isDirectory(dir)) {
      deleteTree(beside(dir, ".old"));
      finishUpdate(dir);
      deleteTree(dir.resolve(FILLING));
    }
  }

  // ---- replace

  void replaceWith(Path dir, Filler filler) {
    guarded(dir, "cannot be written", () -> replaceReal(resolveLinks(dir), filler));
  }

  private void replaceReal(Path dir, Filler filler) throws IOException {
    requireParent(dir);
    recoverReal(dir);
    requireReplaceable(dir);
    Path staging = beside(dir, ".new");
    try {
      fill(staging, filler);
      writeManifest(staging, Manifest.of(staging, filesOf(staging)));
      ops.sync(parentOf(dir));
    } catch (Throwable e) {
      discard(staging, e);
      throw e;
    }
    try {
      swap(dir);
    } catch (Throwable e) {
      if (Files.exists(dir)) { // the old one did not leave its place
        discard(staging, e);
      }
      throw e;
    }
  }

  /// Ends what a crash interrupted. Every step may have been done already.
  private void finishReplace(Path dir) throws IOException {
    if (Files.exists(dir) && isComplete(beside(dir, ".new"))) {
      swap(dir);
    } else {
      bringBack(dir);
    }
  }

  /// Puts the complete `.NAME.new` in the place of NAME.
  private void swap(Path dir) throws IOException {
    Path old = beside(dir, ".old");
    requireReplaceable(dir);
    if (Files.exists(dir)) {
      deleteTree(old);
      ops.move(dir, old);
    }
    moveIfThere(beside(dir, ".new"), dir);
    ops.sync(parentOf(dir));
    deleteTree(old);
  }

  /// Recovers a missing NAME: `.NAME.new` takes its place if complete, else `.NAME.old`. Takes
  /// nothing away, so a reader may do it while a writer is between its two renames.
  private void bringBack(Path dir) throws IOException {
    if (Files.exists(dir)) {
      return;
    }
    Path fresh = beside(dir, ".new");
    Path old = beside(dir, ".old");
    if (isComplete(fresh)) {
      moveIfThere(fresh, dir);
      ops.sync(parentOf(dir));
    } else if (!Files.exists(dir) && Files.isDirectory(old)) {
      moveIfThere(old, dir);
      ops.sync(parentOf(dir));
    }
  }

  /// A reader that opens the folder just now may do the same move.
  private void moveIfThere(Path from, Path to) throws IOException {
    try {
      ops.move(from, to);
    } catch (NoSuchFileException e) {
      if (Files.exists(from) || !Files.exists(to)) {
        throw e;
      }
    }
  }

  /// The manifest is written last, so a folder that agrees with its own is all there.
  private static boolean isComplete(Path staging) throws IOException {
    try {
      @Nullable Manifest manifest = Manifest.read(staging);
      if (manifest == null) {
        return false;
      }
      manifest.verify(staging, true);
      return true;
    } catch (InvalidInputException e) {
      return false;
    }
  }

  private static void requireReplaceable(Path dir) throws IOException {
    if (!Files.exists(dir)) {
      return;
    }
    requireFolder(dir);
    if (Files.exists(dir.resolve(Manifest.FILE))) {
      return;
    }
    try (var entries = Files.newDirectoryStream(dir)) {
      if (entries.iterator().hasNext()) {
        throw new InvalidInputException(
            "%s: holds files but no %s, so it is not replaced; name a new or an empty folder"
                .formatted(OneLine.of(dir), Manifest.FILE));
      }
    }
  }

  // ---- update

  void updateWith(Path dir, Filler filler) {
    guarded(
        dir,
        "cannot be written",
        () -> {
          Path real = resolveLinks(dir);
          requireParent(real);
          recoverReal(real);
          if (Files.exists(real)) {
            updateReal(real, filler);
          } else {
            replaceReal(real, filler); // the folder appears with all its files at once
          }
        });
  }

  private void updateReal(Path dir, Filler filler) throws IOException {
    requireFolder(dir);
    @Nullable Manifest before = Manifest.read(dir);
    Path staging = dir.resolve(FILLING);
    try {
      fill(staging, filler);
      List<Path> files = filesOf(staging);
      for (Path file : files) {
        requirePlace(dir, staging.relativize(file));
      }
      Manifest changed = Manifest.of(staging, files);
      writeManifest(staging, before == null ? changed : before.with(changed));
      ops.move(staging, dir.resolve(READY));
    } catch (Throwable e) {
      discard(staging, e);
      throw e;
    }
    ops.sync(dir); // from here on the update counts, and recovery would finish it
    finishUpdate(dir);
  }

  /// Moves what `.update.ready` holds into place. Every step may have been done already.
  private void finishUpdate(Path dir) throws IOException {
    Path ready = dir.resolve(READY);
    if (!Files.isDirectory(ready)) {
      return;
    }
    Path manifest = ready.resolve(Manifest.FILE);
    if (Files.exists(manifest)) { // else all files are in place, and only the folder is left over
      ops.delete(dir.resolve(Manifest.FILE));
      ops.sync(dir);
      Set<Path> touched = new LinkedHashSet<>();
      for (Path file : filesOf(ready)) {
        if (!file.equals(manifest)) {
          Path target = dir.resolve(ready.relativize(file));
          createFolders(dir, parentOf(target), touched);
          moveIfThere(file, target);
        }
      }
      for (Path folder : touched) {
        ops.sync(folder);
      }
      moveIfThere(manifest, dir.resolve(Manifest.FILE));
      ops.sync(dir);
    }
    deleteTree(ready);
  }

  private void createFolders(Path dir, Path folder, Set<Path> touched) throws IOException {
    if (!folder.equals(dir)) {
      createFolders(dir, parentOf(folder), touched);
      if (!Files.isDirectory(folder)) {
        ops.createFolder(folder);
      }
    }
    touched.add(folder);
  }

  /// Asked before anything moves, because an update that has begun must be able to end.
  private static void requirePlace(Path dir, Path relative) {
    Path at = dir;
    for (int i = 0; i < relative.getNameCount(); i++) {
      at = at.resolve(relative.getName(i));
      boolean last = i == relative.getNameCount() - 1;
      if (Files.exists(at) && Files.isDirectory(at) == last) {
        throw new InvalidInputException(
            OneLine.of(at)
                + (last ? ": is a folder, but a file" : ": is a file, but a folder")
                + " of that name is to be written");
      }
    }
  }

  // ---- staging

  /// Lets `filler` write, and waits until all of it is on the disk.
  private void fill(Path staging, Filler filler) throws IOException {
    ops.createFolder(staging);
    filler.fill(staging);
    if (Files.exists(staging.resolve(Manifest.FILE))) {
      throw new IllegalArgumentException("a filler must not write " + Manifest.FILE);
    }
    for (Path file : filesOf(staging)) {
      ops.sync(file);
    }
  }

  private void writeManifest(Path staging, Manifest manifest) throws IOException {
    Path file = staging.resolve(Manifest.FILE);
    // under another name first, so that a manifest that can be seen is whole
    Path unfinished = staging.resolve("." + Manifest.FILE + ".tmp");
    ops.write(unfinished, manifest.json());
    ops.sync(unfinished);
    ops.move(unfinished, file);
    for (Path path : allIn(staging)) {
      if (Files.isDirectory(path)) {
        ops.sync(path);
      }
    }
  }

  /// All files below `folder`, sorted.
  private static List<Path> filesOf(Path folder) throws IOException {
    var files = new ArrayList<Path>();
    for (Path path : allIn(folder)) {
      if (Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS)) {
        files.add(path);
      } else if (!Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
        throw new InvalidInputException(
            OneLine.of(path) + ": is a link or a device, but a checkpoint holds files only");
      }
    }
    return files;
  }

  private static List<Path> allIn(Path folder) throws IOException {
    try (var all = Files.walk(folder)) {
      return all.sorted().toList();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private void discard(Path staging, Throwable failure) {
    try {
      deleteTree(staging);
    } catch (IOException e) {
      failure.addSuppressed(e); // recover removes it later
    }
  }

  private void deleteTree(Path top) throws IOException {
    if (!Files.exists(top, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    Files.walkFileTree(
        top,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            ops.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException e)
              throws IOException {
            if (e != null) {
              throw e;
            }
            ops.delete(folder);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  // ---- places

  /// The folder itself if `dir` is a link to it: renames beside the link would replace the link.
  private static Path resolveLinks(Path dir) throws IOException {
    Path real = dir.toAbsolutePath().normalize();
    for (int links = 0; Files.isSymbolicLink(real); links++) {
      if (links == 40) {
        throw new FileSystemException(dir.toString(), null, "too many links");
      }
      real = real.resolveSibling(Files.readSymbolicLink(real)).normalize();
    }
    return real;
  }

  private static Path beside(Path dir, String suffix) {
    Path name = dir.getFileName();
    if (name == null) {
      throw new InvalidInputException(OneLine.of(dir) + ": cannot be a checkpoint folder");
    }
    return dir.resolveSibling("." + name + suffix);
  }

  private static Path parentOf(Path absolute) {
    Path parent = absolute.getParent();
    return parent == null ? absolute : parent;
  }

  private static void requireParent(Path dir) {
    Path parent = parentOf(dir);
    if (!Files.isDirectory(parent)) {
      throw new InvalidInputException(
          "%s: cannot be written: %s is no folder".formatted(OneLine.of(dir), OneLine.of(parent)));
    }
  }

  private static void requireFolder(Path dir) {
    if (!Files.isDirectory(dir)) {
      throw new InvalidInputException(
          OneLine.of(dir) + (Files.exists(dir) ? ": is a file, not a folder" : ": no such folder"));
    }
  }

  @FunctionalInterface
  private interface Work {
    void run() throws IOException;
  }

  private static void guarded(Path dir, String failure, Work work) {
    try {
      work.run();
    } catch (IOException e) {
      throw new InvalidInputException(OneLine.of(dir) + ": " + failure + ": " + reason(e), e);
    }
  }

  /// With the name of the file, where the system tells it.
  private static String reason(IOException e) {
    return e instanceof FileSystemException f && f.getFile() != null
        ? OneLine.of(f.getFile()) + ": " + OneLine.reason(e)
        : OneLine.reason(e);
  }
}
