package io.xlstm4j.cuda.binary;

import io.xlstm4j.cuda.driver.CudaDevice;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;

/// One compiled source of this module, as a resource.
///
/// @param resource its path from the package `io.xlstm4j.cuda` on, for example
///   `slstm/general.sm_80.cubin.gz`
/// @param machineCode true for a chip's own code, false for the driver's intermediate code
/// @param major compute capability that it was made for, before the point
/// @param minor after the point
public record KernelBinary(String resource, boolean machineCode, int major, int minor) {
  private static final String FOLDER = "/io/xlstm4j/cuda/";
  private static final Pattern NAME =
      Pattern.compile("(\\w+/\\w+)\\.(?:sm|compute)_(\\d+)(\\d)a?\\.(cubin|ptx)\\.gz");

  /// Chooses the binary of a source for a device: machine code of the same generation and not
  /// newer, the newest of these; else the newest intermediate code that is not newer than the
  /// device.
  ///
  /// @param source for example `slstm/general`
  /// @return empty if none runs there
  public static Optional<KernelBinary> find(String source, CudaDevice device) {
    return find(all(source), device);
  }

  static Optional<KernelBinary> find(List<KernelBinary> binaries, CudaDevice device) {
    return binaries.stream()
        .filter(b -> b.runsOn(device))
        .max((a, b) ->
            a.machineCode == b.machineCode
                ? Integer.compare(a.number(), b.number())
                : Boolean.compare(a.machineCode, b.machineCode));
  }

  /// All binaries of a source that the list of hashes names.
  public static List<KernelBinary> all(String source) {
    var found = new ArrayList<KernelBinary>();
    for (String line :
        new String(read("binaries.sha256"), StandardCharsets.UTF_8).lines().toList()) {
      Matcher name = NAME.matcher(line.substring(line.lastIndexOf(FOLDER) + FOLDER.length()));
      if (line.contains(FOLDER) && name.matches() && name.group(1).equals(source)) {
        found.add(
            new KernelBinary(
                name.group(),
                name.group(4).equals("cubin"),
                Integer.parseInt(name.group(2)),
                Integer.parseInt(name.group(3))));
      }
    }
    return List.copyOf(found);
  }

  private boolean runsOn(CudaDevice device) {
    return machineCode
        ? major == device.major() && minor <= device.minor()
        : number() <= device.major() * 10 + device.minor();
  }

  private int number() {
    return major * 10 + minor;
  }

  /// The code itself.
  public byte[] bytes() {
    try (var unpacked = new GZIPInputStream(open(resource))) {
      return unpacked.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(resource, e);
    }
  }

  private static byte[] read(String resource) {
    try (var in = open(resource)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(resource, e);
    }
  }

  private static InputStream open(String resource) {
    var in = KernelBinary.class.getResourceAsStream(FOLDER + resource);
    if (in == null) {
      throw new IllegalStateException("the jar lacks " + FOLDER + resource);
    }
    return in;
  }
}
