package io.xlstm4j.cli;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.torch.SelfTest;
import io.xlstm4j.torch.Torch;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// `doctor`: whether this machine can do the work, with what was found.
@Command(
    name = "doctor",
    description = "Check this machine: Java, native libraries, devices, and the cells themselves.",
    mixinStandardHelpOptions = true)
final class DoctorCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    line(out, "java", "%s, %s", Runtime.version(), System.getProperty("java.vendor"));
    line(
        out,
        "machine",
        "%s %s, %d processors, %,d MiB for the JVM",
        System.getProperty("os.name"),
        System.getProperty("os.arch"),
        Runtime.getRuntime().availableProcessors(),
        Runtime.getRuntime().maxMemory() >> 20);
    long began = System.nanoTime();
    Torch.load();
    line(
        out,
        "libtorch",
        "loaded in %.1f s, %d threads",
        (System.nanoTime() - began) / 1e9,
        Torch.threads());
    line(out, "cuda", Torch.hasCuda() ? "available" : "not available");
    line(out, "kernels", Kernels.shared().description());
    boolean sound = true;
    for (SelfTest.Finding finding : SelfTest.run()) {
      sound &= finding.passed();
      line(
          out,
          finding.passed() ? "ok" : "WRONG",
          "%s: largest difference %.1e, allowed %.0e",
          finding.what(),
          finding.difference(),
          finding.allowed());
    }
    out.println(sound ? "all is well" : "something is wrong: do not train here");
    out.flush();
    return sound ? ExitCode.OK : ExitCode.SOFTWARE;
  }

  private static void line(PrintWriter out, String name, String format, Object... values) {
    out.printf(Locale.ROOT, "%-10s%s%n", name, String.format(Locale.ROOT, format, values));
    out.flush();
  }
}
