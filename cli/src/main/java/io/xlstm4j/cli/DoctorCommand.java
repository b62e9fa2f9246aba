package io.xlstm4j.cli;

import com.sun.management.OperatingSystemMXBean;
import io.xlstm4j.core.JdkFaults;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.torch.CudaLibraries;
import io.xlstm4j.torch.Diagnostics;
import io.xlstm4j.torch.Torch;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// `doctor`: whether this machine can do the work, with what was found.
@Command(
    name = "doctor",
    description =
        "Check this machine: Java, memory, native libraries, devices, and the numbers that every"
            + " cell, block and model computes on each.",
    mixinStandardHelpOptions = true)
final class DoctorCommand implements Callable<Integer> {
  private static final long MIB = 1 << 20;

  @Spec private CommandSpec spec;

  private final Supplier<DiagnosticsTable.Checks> checks;

  DoctorCommand() {
    this(() -> DiagnosticsTable.Checks.of(Diagnostics.here()));
  }

  /// @param checks of the numbers; made once libtorch is loaded
  DoctorCommand(Supplier<DiagnosticsTable.Checks> checks) {
    this.checks = checks;
  }

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    boolean sound = java(out);
    machine(out);
    try {
      long began = System.nanoTime();
      Torch.load();
      line(
          out,
          "libtorch",
          "%s, loaded in %.1f s, %s",
          Torch.version(),
          (System.nanoTime() - began) / 1e9,
          DiagnosticsTable.counted(Torch.threads(), "thread"));
    } catch (LinkageError e) {
      line(
          out,
          "libtorch",
          "cannot be loaded: %s",
          Objects.requireNonNullElse(e.getMessage(), e.toString()));
      cuda(out, 0);
      out.println("something is wrong: nothing can be trained here");
      out.flush();
      return ExitCode.SOFTWARE;
    }
    cuda(out, Torch.gpus());
    line(out, "kernels", "%s", Kernels.shared().description());
    out.println();
    sound &= new DiagnosticsTable(out).print(checks.get());
    out.println(sound ? "all is well" : "something is wrong: do not train here");
    out.flush();
    return sound ? ExitCode.OK : ExitCode.SOFTWARE;
  }

  /// @return whether this JDK is sound
  private static boolean java(PrintWriter out) {
    line(out, "java", "%s, %s", Runtime.version(), System.getProperty("java.vendor"));
    var fault = JdkFaults.here();
    fault.ifPresent(what -> line(out, "WRONG", "%s", what));
    return fault.isEmpty();
  }

  private static void machine(PrintWriter out) {
    Runtime runtime = Runtime.getRuntime();
    long free =
        ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
            ? system.getFreeMemorySize()
            : 0;
    long total =
        ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system
            ? system.getTotalMemorySize()
            : 0;
    line(
        out,
        "machine",
        "%s %s, %s",
        System.getProperty("os.name"),
        System.getProperty("os.arch"),
        DiagnosticsTable.counted(runtime.availableProcessors(), "processor"));
    line(
        out,
        "memory",
        "%,d MiB free of %,d; %,d MiB for Java's heap",
        Math.max(free, available()) / MIB,
        total / MIB,
        runtime.maxMemory() / MIB);
  }

  /// Returns the memory that Linux could give to a process, its caches included; 0 if unknown.
  private static long available() {
    try (Stream<String> lines = Files.lines(Path.of("/proc/meminfo"))) {
      return lines
          .filter(line -> line.startsWith("MemAvailable:"))
          .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) << 10)
          .findFirst()
          .orElse(0);
    } catch (IOException e) {
      return 0;
    }
  }

  private static void cuda(PrintWriter out, int gpus) {
    for (String each : cudaLines(gpus, CudaLibraries.hasDriver(), CudaLibraries.isOnClassPath())) {
      line(out, "cuda", "%s", each);
    }
  }

  private static List<String> cudaLines(int gpus, boolean driver, boolean natives) {
    return cudaLines(
        gpus, driver, natives, natives || driver ? CudaLibraries.missing() : List.of());
  }

  /// Describes CUDA on this machine.
  ///
  /// @param natives whether this build brings libtorch for GPUs
  /// @param missing file names of libraries
  static List<String> cudaLines(int gpus, boolean driver, boolean natives, List<String> missing) {
    if (gpus > 0) {
      return List.of(DiagnosticsTable.counted(gpus, "GPU") + gpuName());
    }
    if (!driver && !natives) {
      return List.of("not available: no NVIDIA driver");
    }
    if (!natives) {
      return List.of(
          "not available: there is a driver, but this build has no libtorch for GPUs;"
              + " XLSTM_MAVEN=-Pcuda ./xlstm builds it");
    }
    return missing.isEmpty()
        ? List.of("not available: the driver shows no GPU")
        : List.of("not available, missing: " + String.join(" ", missing));
  }

  private static String gpuName() {
    try (Stream<Path> gpus = Files.list(Path.of("/proc/driver/nvidia/gpus"))) {
      @Nullable Path first = gpus.sorted().findFirst().orElse(null);
      if (first == null) {
        return "";
      }
      return Files.readAllLines(first.resolve("information")).stream()
          .filter(line -> line.startsWith("Model:"))
          .map(line -> ", " + line.substring("Model:".length()).strip())
          .findFirst()
          .orElse("");
    } catch (IOException e) {
      return ""; // a container may hide it
    }
  }

  private static void line(PrintWriter out, String name, String format, Object... values) {
    out.printf(Locale.ROOT, "%-10s%s%n", name, String.format(Locale.ROOT, format, values));
    out.flush();
  }
}
