package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.binary.KernelBinary;
import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaException;
import io.xlstm4j.cuda.driver.CudaFunction;
import io.xlstm4j.cuda.driver.CudaModule;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/// The mLSTM kernels, loaded on one device. Makes plans for sizes; close it after the work of its
/// plans has ended.
public final class MlstmKernels implements AutoCloseable {
  private static final String PRODUCTS = "mlstm/products";
  private static final String HOPPER_PRODUCTS = "mlstm/hopper";
  private static final List<String> SOURCES = List.of("mlstm/gates", "mlstm/sequences", PRODUCTS);

  private final CudaContext context;
  private final Map<String, CudaModule> modules = new HashMap<>();
  private final Map<String, CudaFunction> functions = new HashMap<>();

  private MlstmKernels(CudaContext context, Function<String, Optional<KernelBinary>> binaries) {
    this.context = context;
    try {
      for (String source : SOURCES) {
        open(
            source,
            binaries
                .apply(source)
                .orElseThrow(() ->
                    new IllegalStateException(
                        "%s has compute capability %s; the kernels need 8.0 or newer"
                            .formatted(context.device().name(), context.device().capability()))));
      }
      binaries.apply(HOPPER_PRODUCTS).ifPresent(binary -> open(HOPPER_PRODUCTS, binary));
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private void open(String source, KernelBinary binary) {
    modules.put(source, context.load(binary.resource(), binary.bytes()));
  }

  /// Loads the kernels.
  ///
  /// @throws IllegalStateException if the device is older than compute capability 8.0
  /// @throws CudaException if the driver is too old for the kernels
  public static MlstmKernels load(CudaContext context) {
    return load(context, source -> KernelBinary.find(source, context.device()));
  }

  /// Loads given binaries.
  static MlstmKernels load(CudaContext context, Function<String, Optional<KernelBinary>> binaries) {
    return new MlstmKernels(context, binaries);
  }

  /// Plans the cell for sizes, on the fastest kernels that the device can run.
  public MlstmPlan plan(MlstmShape shape, ElementType type) {
    return plan(shape, type, fastest(type));
  }

  /// Plans the cell for sizes on given kernels.
  ///
  /// @throws IllegalArgumentException if the device or the type does not have them
  public MlstmPlan plan(MlstmShape shape, ElementType type, MlstmVariant variant) {
    return plan(shape, type, variant, MlstmChunks.lengthFor(shape, variant));
  }

  /// Plans the cell with chunks of a given number of tokens, 128 or 256.
  ///
  /// @throws IllegalArgumentException if the device or the type does not have such kernels
  public MlstmPlan plan(MlstmShape shape, ElementType type, MlstmVariant variant, int chunkLength) {
    return plan(
        shape,
        type,
        variant,
        MlstmChunks.of(
            shape, chunkLength, MlstmPlan.stateTiles(shape), context.device().multiprocessors()));
  }

  /// Plans with a given division.
  MlstmPlan plan(MlstmShape shape, ElementType type, MlstmVariant variant, MlstmChunks chunks) {
    if (variant == MlstmVariant.HOPPER && fastest(type) != MlstmVariant.HOPPER) {
      throw new IllegalArgumentException(
          "%s with %s has no kernels %s".formatted(context.device().name(), type, variant));
    }
    return new MlstmPlan(this, shape, type, variant, chunks);
  }

  /// Returns the fastest kernels of the device for a type.
  MlstmVariant fastest(ElementType type) {
    return type == ElementType.BFLOAT16 && modules.containsKey(HOPPER_PRODUCTS)
        ? MlstmVariant.HOPPER
        : MlstmVariant.GENERAL;
  }

  CudaContext context() {
    return context;
  }

  CudaFunction product(MlstmVariant variant, String name) {
    return function(variant == MlstmVariant.HOPPER ? HOPPER_PRODUCTS : PRODUCTS, name);
  }

  CudaFunction function(String source, String name) {
    CudaModule module = modules.get(source);
    if (module == null) {
      throw new IllegalStateException("no kernels are loaded from " + source);
    }
    return functions.computeIfAbsent(source + name, _ -> module.function(name));
  }

  @Override
  public void close() {
    modules.values().forEach(CudaModule::close);
  }
}
