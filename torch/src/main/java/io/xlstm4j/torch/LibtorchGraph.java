package io.xlstm4j.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BOOLEAN;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.bytedeco.pytorch.global.torch.emptyCache;

import io.xlstm4j.cuda.driver.CudaStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/// A CUDA graph of libtorch: work that is recorded once and then launched as one. libtorch's
/// allocator keeps the memory of what was recorded for it, so tensors that live outside have their
/// addresses for good.
///
/// The presets do not have libtorch's class `at::cuda::CUDAGraph`, so its members are called by
/// their names in the library. An exception of C++ cannot pass through such a call. So a recording
/// that went wrong is never handed to libtorch: [#record] looks at the stream first, and leaves the
/// half-made graph where it is.
final class LibtorchGraph implements AutoCloseable {
  private static final long OBJECT_BYTES = 8192; // of a CUDAGraph, some hundreds; the rest is spare
  private static final int RELAXED = 2; // other threads may allocate meanwhile

  /// A pair of numbers, by value.
  private static final MemoryLayout POOL = MemoryLayout.structLayout(JAVA_LONG, JAVA_LONG);

  private static @Nullable Functions functions;

  private final MemorySegment graph;
  private boolean closed;

  private LibtorchGraph(MemorySegment graph) {
    this.graph = graph;
  }

  /// libtorch's functions, all of which take the object first.
  private record Functions(
      MethodHandle create,
      MethodHandle destroy,
      MethodHandle begin,
      MethodHandle end,
      MethodHandle replay,
      MethodHandle pool,
      MethodHandle enterStream,
      MethodHandle leaveStream) {
    private static final String CLASS = "_ZN2at4cuda9CUDAGraph";

    static Functions load() {
      SymbolLookup library = SymbolLookup.libraryLookup("libtorch_cuda.so", Arena.global());
      return new Functions(
          find(library, CLASS + "C1Eb", FunctionDescriptor.ofVoid(ADDRESS, JAVA_BOOLEAN)),
          find(library, CLASS + "D1Ev", FunctionDescriptor.ofVoid(ADDRESS)),
          // the pair of numbers, a memory pool, goes in two registers
          find(
              library,
              CLASS + "13capture_beginESt4pairIyyE21cudaStreamCaptureMode",
              FunctionDescriptor.ofVoid(ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_INT)),
          find(library, CLASS + "11capture_endEv", FunctionDescriptor.ofVoid(ADDRESS)),
          find(library, CLASS + "6replayEv", FunctionDescriptor.ofVoid(ADDRESS)),
          find(library, CLASS + "4poolEv", FunctionDescriptor.of(POOL, ADDRESS)),
          find(
              library,
              "aoti_torch_create_cuda_stream_guard",
              FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, ADDRESS)),
          find(
              library,
              "aoti_torch_delete_cuda_stream_guard",
              FunctionDescriptor.of(JAVA_INT, ADDRESS)));
    }

    private static MethodHandle find(
        SymbolLookup library, String name, FunctionDescriptor descriptor) {
      MemorySegment symbol =
          library
              .find(name)
              .orElseThrow(() -> new IllegalStateException("this libtorch has no " + name));
      return Linker.nativeLinker().downcallHandle(symbol, descriptor);
    }
  }

  private static synchronized Functions functions() {
    if (functions == null) {
      functions = Functions.load();
    }
    return functions;
  }

  /// Records what `work` gives to the GPU, without doing it. The work must not wait for the device,
  /// on any thread.
  ///
  /// @param sharing a graph that never runs at the same time, whose memory may be used again; null
  ///   for none
  /// @throws IllegalStateException if it cannot be recorded; what `work` threw is the cause
  static LibtorchGraph record(CudaGpu gpu, @Nullable LibtorchGraph sharing, Runnable work) {
    Functions call = functions();
    CudaStream stream = gpu.recordingStream();
    // for good: libtorch's allocator may still ask a graph that went wrong
    MemorySegment graph = Arena.global().allocate(OBJECT_BYTES, 64);
    gpu.context().synchronize();
    emptyCache(); // the graph cannot use what the allocator keeps for others
    try (var arena = Arena.ofConfined()) {
      MemorySegment guard = arena.allocate(ADDRESS);
      MemorySegment pool = sharing == null ? arena.allocate(POOL) : sharing.pool(arena);
      invoke(call.create, graph, false);
      check((int) invoke(call.enterStream, stream(stream), gpu.ordinal(), guard));
      try {
        invoke(call.begin, graph, pool.get(JAVA_LONG, 0), pool.get(JAVA_LONG, 8), RELAXED);
        record(stream, work);
        invoke(call.end, graph);
      } finally {
        check((int) invoke(call.leaveStream, guard.get(ADDRESS, 0)));
      }
    }
    gpu.context().synchronize();
    return new LibtorchGraph(graph);
  }

  private static void record(CudaStream stream, Runnable work) {
    @Nullable RuntimeException failure = null;
    try {
      work.run();
    } catch (RuntimeException e) {
      failure = e;
    }
    if (failure != null || !stream.isRecorded()) {
      stream.discardRecording();
      throw new IllegalStateException(
          failure == null ? "the work waits for the device" : failure.getMessage(), failure);
    }
  }

  private static MemorySegment stream(CudaStream stream) {
    return MemorySegment.ofAddress(stream.address());
  }

  /// Does the recorded work, in the order of the calling thread's current stream.
  void replay() {
    if (closed) {
      throw new IllegalStateException("the graph is closed");
    }
    invoke(functions().replay, graph);
  }

  private MemorySegment pool(SegmentAllocator memory) {
    return (MemorySegment) invoke(functions().pool, memory, graph);
  }

  private static void check(int error) {
    if (error != 0) {
      throw new IllegalStateException("libtorch does not change its stream: error " + error);
    }
  }

  private static Object invoke(MethodHandle function, Object... arguments) {
    try {
      return function.invokeWithArguments(arguments);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError("a downcall throws nothing checked", e);
    }
  }

  /// Gives its memory back. The work that was launched must be over.
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      invoke(functions().destroy, graph);
    }
  }
}
