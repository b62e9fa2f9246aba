package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.binary.KernelBinary;
import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaException;
import io.xlstm4j.cuda.driver.CudaFunction;
import io.xlstm4j.cuda.driver.CudaModule;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/// The mLSTM kernels, loaded on one device. Makes plans for sizes; close it after the work of its
/// plans has ended.
public final class MlstmKernels implements AutoCloseable {
  private static final String PRODUCTS = "mlstm/products";
  private static final List<String> SOURCES = List.of("mlstm/gates", "mlstm/sequences", PRODUCTS);

  private final CudaContext context;
  private final List<CudaModule> opened = new ArrayList<>();
  private final Map<String, CudaModule> modules = new HashMap<>();
  private final Map<String, CudaFunction> functions = new HashMap<>();

  private MlstmKernels(CudaContext context, Function<String, Optional<KernelBinary>> binaries) {
    this.context = context;
    try {
      for (String source : SOURCES) {
        KernelBinary binary =
            binaries
                .apply(source)
                .orElseThrow(() ->
                    new IllegalStateException(
                        "%s has compute capability %s; the kernels need 8.0 or newer"
                            .formatted(context.device().name(), context.device().capability())));
        CudaModule module = context.load(binary.resource(), binary.bytes());
        opened.add(module);
        modules.put(source, module);
      }
    } catch (RuntimeException e) {
      opened.forEach(CudaModule::close);
      throw e;
    }
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

  /// Plans the cell for sizes.
  public MlstmPlan plan(MlstmShape shape, ElementType type) {
    return plan(shape, type, MlstmChunks.SHORT);
  }

  /// Plans the cell with chunks of a given number of tokens.
  ///
  /// @throws IllegalArgumentException if no kernel has such chunks
  public MlstmPlan plan(MlstmShape shape, ElementType type, int chunkLength) {
    return plan(
        shape,
        type,
        MlstmChunks.of(
            shape, chunkLength, MlstmPlan.stateTiles(shape), context.device().multiprocessors()));
  }

  /// Plans with a given division.
  MlstmPlan plan(MlstmShape shape, ElementType type, MlstmChunks chunks) {
    return new MlstmPlan(this, shape, type, chunks);
  }

  CudaContext context() {
    return context;
  }

  CudaFunction product(String name) {
    return function(PRODUCTS, name);
  }

  CudaFunction function(String source, String name) {
    CudaModule module = modules.get(source);
    if (module == null) {
      throw new IllegalStateException("no kernels are loaded from " + source);
    }
    return functions.computeIfAbsent(name, module::function);
  }

  @Override
  public void close() {
    opened.forEach(CudaModule::close);
  }
}
