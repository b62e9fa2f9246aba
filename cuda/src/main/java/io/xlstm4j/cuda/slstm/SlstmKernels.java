package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.binary.KernelBinary;
import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.CudaException;
import io.xlstm4j.cuda.driver.CudaFunction;
import io.xlstm4j.cuda.driver.CudaModule;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// The sLSTM kernels, loaded on one device. Makes plans for sizes; close it after the work of its
/// plans has ended.
public final class SlstmKernels implements AutoCloseable {
  private final CudaContext context;
  private final Map<SlstmVariant, CudaModule> modules = new EnumMap<>(SlstmVariant.class);
  private final CudaModule gradients;
  private final Map<String, CudaFunction> functions = new HashMap<>();

  private SlstmKernels(CudaContext context, Function<String, Optional<KernelBinary>> binaries) {
    this.context = context;
    gradients = load(context, binaries.apply("slstm/gradients"));
    modules.put(SlstmVariant.GENERAL, load(context, binaries.apply("slstm/general")));
    if (context.device().hasClusters()) {
      modules.put(SlstmVariant.CLUSTER, load(context, binaries.apply("slstm/cluster")));
    }
  }

  /// Loads the kernels.
  ///
  /// @throws IllegalStateException if the device is older than compute capability 8.0
  /// @throws CudaException if the driver is too old for the kernels
  public static SlstmKernels load(CudaContext context) {
    return load(context, source -> KernelBinary.find(source, context.device()));
  }

  /// Loads given binaries.
  static SlstmKernels load(CudaContext context, Function<String, Optional<KernelBinary>> binaries) {
    return new SlstmKernels(context, binaries);
  }

  private static CudaModule load(CudaContext context, Optional<KernelBinary> found) {
    KernelBinary binary =
        found.orElseThrow(() ->
            new IllegalStateException(
                "%s has compute capability %s; the kernels need 8.0 or newer"
                    .formatted(context.device().name(), context.device().capability())));
    return context.load(binary.resource(), binary.bytes());
  }

  /// Plans the cell for sizes, on the fastest kernel that the device can run.
  public SlstmPlan plan(SlstmShape shape, ElementType type) {
    @Nullable ClusterLayout layout = clusterLayout(shape, type);
    return new SlstmPlan(this, shape, type, layout);
  }

  /// Plans the cell for sizes on a given kernel.
  ///
  /// @throws IllegalArgumentException if the device cannot run it
  public SlstmPlan plan(SlstmShape shape, ElementType type, SlstmVariant variant) {
    if (variant == SlstmVariant.GENERAL) {
      return new SlstmPlan(this, shape, type, null);
    }
    @Nullable ClusterLayout layout = clusterLayout(shape, type);
    if (layout == null) {
      throw new IllegalArgumentException(
          "%s cannot hold clusters for %s".formatted(context.device().name(), shape));
    }
    return new SlstmPlan(this, shape, type, layout);
  }

  /// Plans with a given division, for measurements.
  SlstmPlan plan(SlstmShape shape, ElementType type, int blocks, int warps) {
    return new SlstmPlan(
        this,
        shape,
        type,
        ClusterLayout.of(shape, type, blocks, warps, context.device().sharedBytesPerBlock()));
  }

  private @Nullable ClusterLayout clusterLayout(SlstmShape shape, ElementType type) {
    if (!modules.containsKey(SlstmVariant.CLUSTER)) {
      return null;
    }
    for (ClusterLayout layout :
        ClusterLayout.candidates(shape, type, context.device().sharedBytesPerBlock())) {
      if (fits(layout, type)) {
        return layout;
      }
    }
    return null;
  }

  private boolean fits(ClusterLayout layout, ElementType type) {
    try {
      var forward = function(SlstmVariant.CLUSTER, type.kernel("forward"));
      var backward = function(SlstmVariant.CLUSTER, type.kernel("backward"));
      forward.allow(layout.forwardLaunch());
      backward.allow(layout.backwardLaunch());
      return forward.activeClusters(layout.forwardLaunch()) > 0
          && backward.activeClusters(layout.backwardLaunch()) > 0;
    } catch (CudaException e) {
      return false; // the device grants no such cluster
    }
  }

  CudaContext context() {
    return context;
  }

  CudaFunction function(SlstmVariant variant, String name) {
    CudaModule module = modules.get(variant);
    if (module == null) {
      throw new IllegalStateException("no kernels are loaded for " + variant);
    }
    return functions.computeIfAbsent(variant + name, _ -> module.function(name));
  }

  CudaFunction gradient(String name) {
    return functions.computeIfAbsent(name, gradients::function);
  }

  @Override
  public void close() {
    modules.values().forEach(CudaModule::close);
    gradients.close();
  }
}
