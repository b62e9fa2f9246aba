package io.xlstm4j.train.parallel;

import io.xlstm4j.torch.Torch;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.javacpp.chrono.Milliseconds;
import org.bytedeco.pytorch.Backend;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.GlooDeviceVector;
import org.bytedeco.pytorch.ProcessGroupGloo;
import org.bytedeco.pytorch.Store;
import org.bytedeco.pytorch.TCPStore;
import org.bytedeco.pytorch.TCPStoreOptions;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.Work;
import org.bytedeco.pytorch.global.torch_gloo;
import org.bytedeco.pytorch.global.torch_nccl;
import org.bytedeco.pytorch.nccl.ProcessGroupNCCL;
import org.jspecify.annotations.Nullable;

/// libtorch's collectives among the ranks: Gloo on the CPU, NCCL on GPUs.
///
/// Nothing here waits in native code, which no rank's death could end: the caller's thread looks at
/// both the work and the [CoordinatorConnection]. After a failure, work under way is left alone,
/// and ends with the process.
final class Collectives implements AutoCloseable {
  private final CoordinatorConnection line;
  private final Store store;
  private final Backend group;
  private final boolean onGpu;

  private Collectives(CoordinatorConnection line, Store store, Backend group, boolean onGpu) {
    this.line = line;
    this.store = store;
    this.group = group;
    this.onGpu = onGpu;
  }

  /// Connects every rank with every other.
  ///
  /// @param device that the gradients are on
  /// @throws RankFailedException on every rank if that fails on one
  static Collectives open(Rendezvous rendezvous, CoordinatorConnection line, Device device) {
    Torch.load();
    boolean onGpu = device.is_cuda();
    // The line is to give up first, since it knows who is missing.
    Duration patience = rendezvous.timeout().multipliedBy(2);
    boolean isServer = rendezvous.rank() == 0;
    Store store = null;
    if (isServer) {
      store = finished(line, () -> store(rendezvous, true, 0, patience));
    }
    int port = store instanceof TCPStore server ? Short.toUnsignedInt(server.getPort()) : 0;
    byte[] mine = ByteBuffer.allocate(Integer.BYTES).putInt(port).array();
    int chosen = ByteBuffer.wrap(line.meet("store", mine).getFirst()).getInt();
    Store found =
        store == null ? finished(line, () -> store(rendezvous, false, chosen, patience)) : store;
    Backend group =
        finished(
            line,
            () ->
                onGpu
                    ? nccl(rendezvous, found, patience)
                    : gloo(rendezvous, line, found, patience));
    return new Collectives(line, found, group, onGpu);
  }

  private static TCPStore store(
      Rendezvous rendezvous, boolean isServer, int port, Duration patience) {
    var options = new TCPStoreOptions();
    options.isServer(isServer);
    options.port((short) port);
    options.waitWorkers(false);
    options.timeout(new Milliseconds(patience.toMillis()));
    return new TCPStore(rendezvous.host(), options);
  }

  private static Backend gloo(
      Rendezvous rendezvous, CoordinatorConnection line, Store store, Duration patience) {
    Loader.load(torch_gloo.class);
    var options = ProcessGroupGloo.Options.create(new Milliseconds(patience.toMillis()));
    options.devices(new GlooDeviceVector(ProcessGroupGloo.createDeviceForHostname(line.address())));
    return new ProcessGroupGloo(store, rendezvous.rank(), rendezvous.size(), options);
  }

  private static Backend nccl(Rendezvous rendezvous, Store store, Duration patience) {
    Loader.load(torch_nccl.class);
    var options = ProcessGroupNCCL.Options.create();
    options.timeout(new Milliseconds(patience.toMillis()));
    return new ProcessGroupNCCL(store, rendezvous.rank(), rendezvous.size(), options);
  }

  /// Runs what may wait in native code on a thread of its own, and keeps its result.
  private static <T extends Pointer> T finished(CoordinatorConnection line, Making<T> making) {
    var result = new CompletableFuture<T>();
    DaemonThreads.start(
        "xlstm-rank-connect",
        () -> {
          try (var _ = new PointerScope()) {
            T made = making.make();
            made.retainReference();
            result.complete(made);
          } catch (RuntimeException e) {
            result.completeExceptionally(e);
          }
        });
    line.arrive();
    line.await(result::isDone);
    try {
      return result.join();
    } catch (CompletionException e) {
      throw line.explain("cannot connect to the other ranks: " + firstLine(e));
    }
  }

  /// Makes something native.
  private interface Making<T> {
    T make();
  }

  /// A sum over all ranks that is under way.
  final class Sum {
    private final Work work;

    private Sum(Work work) {
      this.work = work;
    }

    /// Waits until the tensor holds the sum. To be called once.
    ///
    /// @throws RankFailedException if it never will
    void await() {
      try {
        if (onGpu) {
          work.synchronize(); // the stream waits, not this thread
        } else {
          line.await(work::isCompleted);
          work._wait(); // throws what went wrong
        }
      } catch (RankFailedException e) {
        throw e;
      } catch (RuntimeException e) {
        throw line.explain("gradients cannot be summed: " + firstLine(e));
      }
      work.releaseReference();
    }
  }

  /// Begins to sum a tensor over all ranks, in place. All ranks must sum tensors of the same sizes
  /// in the same order.
  ///
  /// @param tensor contiguous; must stay until the sum was waited for
  Sum sum(Tensor tensor) {
    try {
      Work work = group.allreduce(new TensorVector(tensor));
      work.retainReference();
      return new Sum(work);
    } catch (RankFailedException e) {
      throw e;
    } catch (RuntimeException e) {
      throw line.explain("gradients cannot be summed: " + firstLine(e));
    }
  }

  private static String firstLine(RuntimeException error) {
    @Nullable Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    return String.valueOf(cause == null ? null : cause.getMessage()).lines().findFirst().orElse("");
  }

  /// Hangs up, if all went well; else there may be work that never ends.
  @Override
  public void close() {
    try {
      line.check();
    } catch (RankFailedException e) {
      return;
    }
    group.releaseReference();
    store.releaseReference();
  }
}
