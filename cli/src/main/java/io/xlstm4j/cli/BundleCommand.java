package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `bundle`: the program with all it needs in one archive.
@Command(
    name = "bundle",
    description =
        "Write an archive that runs this program on a machine without JDK, Maven or network.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {
      "",
      "The archive has a Java runtime, the program's jars, the native libraries of",
      "this platform and the launchers. It runs on the same operating system and",
      "processor as this machine."
    })
final class BundleCommand implements Callable<Integer> {
  /// The processor for matrix products and cells.
  enum Device {
    CPU,
    CUDA
  }

  @Spec private CommandSpec spec;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "archive to write: .tar.gz, .tgz or .zip; a file that is there is replaced")
  private Path out;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description =
          "cpu, or cuda for NVIDIA GPUs, which this program must have been built for"
              + " (default: what it was built for)")
  private Device device;

  @Override
  public Integer call() throws IOException {
    Bundle bundle = Bundle.of(programFolder());
    if (device == Device.CUDA && !bundle.hasCuda()) {
      throw new InvalidInputException(
          "--device cuda: this program was built without CUDA; build it again with"
              + " XLSTM_MAVEN='-Pcuda clean', then bundle");
    }
    if (device == Device.CPU && bundle.hasCuda()) {
      throw new InvalidInputException(
          "--device cpu: this program was built with CUDA; build it again with XLSTM_MAVEN=clean, then"
              + " bundle");
    }
    bundle.write(out);
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "wrote %s, %,d MB; unpack it and run %s/xlstm doctor%n",
            out,
            Math.round(Files.size(out) / 1e6),
            bundle.name());
    return ExitCode.OK;
  }

  /// The folder of jars that this program runs from.
  private static Path programFolder() {
    try {
      Path jar = Path.of(Main.class.getProtectionDomain().getCodeSource().getLocation().toURI());
      if (Files.isRegularFile(jar) && jar.getParent() != null) {
        return jar.getParent();
      }
    } catch (URISyntaxException e) {
      // falls through: no file of ours has such a location
    }
    throw new InvalidInputException(
        "a bundle is made by the built program; start it with ./xlstm from a clone");
  }
}
