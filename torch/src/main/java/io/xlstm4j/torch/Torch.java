package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.globalContext;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.JdkFaults;
import java.io.IOException;
import java.util.Properties;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.global.torch;

/// The native library itself: loading, devices, threads, seeds.
///
/// The changes that loading it makes to the whole process are listed in `docs/embedding.md`.
public final class Torch {
  private static volatile boolean loaded;

  private Torch() {}

  /// Loads libtorch once; one to two seconds the first time in a process.
  public static void load() {
    if (!loaded) { // JavaCPP looks at its files again each time: half a millisecond
      JdkFaults.logOnce();
      ProcessSettings.letIdleThreadsSleep();
      JavaCppSettings.apply();
      Loader.load(torch.class);
      loaded = true;
    }
  }

  /// Returns whether [#device] knows a kind of device: `cpu`, `cuda` or `cuda:N`; whether this
  /// machine has it is another question. Loads nothing.
  public static boolean isDeviceName(String name) {
    return name.matches("cpu|cuda(:[0-9]{1,2})?");
  }

  /// The device of that name: `cpu`, `cuda`, `cuda:1`.
  ///
  /// @throws InvalidInputException if there is no such kind or this machine has none of it
  public static Device device(String name) {
    load();
    if (!isDeviceName(name)) {
      throw new InvalidInputException("device " + name + " is unknown; use cpu, cuda or cuda:N");
    }
    if (name.startsWith("cuda") && !hasCuda()) {
      throw new InvalidInputException(
          "device "
              + name
              + " is not available; use cpu, or build with -Pcuda on a machine with a GPU");
    }
    if (name.startsWith("cuda:") && Integer.parseInt(name.substring("cuda:".length())) >= gpus()) {
      throw new InvalidInputException(
          "device %s is not available; the last GPU of this machine is cuda:%d"
              .formatted(name, gpus() - 1));
    }
    return new Device(name);
  }

  /// Returns whether this libtorch can use a GPU of this machine.
  public static boolean hasCuda() {
    load();
    return torch.hasCUDA();
  }

  /// Returns the number of GPUs that this libtorch can use; 0 for none.
  public static int gpus() {
    return hasCuda() ? Math.toIntExact(torch.getNumGPUs()) : 0;
  }

  /// Version of libtorch and its presets, such as `2.13.0-1.5.14`.
  public static String version() {
    String pom = "/META-INF/maven/org.bytedeco/pytorch/pom.properties";
    try (var in = torch.class.getResourceAsStream(pom)) {
      var properties = new Properties();
      if (in != null) {
        properties.load(in);
      }
      return properties.getProperty("version", "unknown");
    } catch (IOException e) {
      return "unknown"; // a jar that was packed anew
    }
  }

  /// Lets products of float32 matrices on GPUs round their operands to TF32 (10 bits after the
  /// point), or not: not at first. Holds for the whole process.
  public static void tf32(boolean allowed) {
    load();
    globalContext().setAllowTF32CuBLAS(allowed);
  }

  /// Seeds every random generator of libtorch: initialisation and dropout.
  public static void seed(long seed) {
    load();
    torch.manual_seed(seed);
  }

  /// Returns the number of threads that one operation may use.
  public static int threads() {
    load();
    return torch.get_num_threads();
  }

  public static void threads(int count) {
    load();
    torch.set_num_threads(count);
  }
}
