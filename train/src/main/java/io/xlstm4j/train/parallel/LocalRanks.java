package io.xlstm4j.train.parallel;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.InvalidInputException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// The ranks of one machine as processes of this same program: starts them, passes on what they
/// say, and ends all when one fails or when this process ends.
public final class LocalRanks {
  private static final String LAUNCHER = "XLSTM_LAUNCHER";
  private static final String KERNEL_THREADS = "xlstm4j.threads";
  private static final int SIGNALLED = 128;

  /// Ranks end by themselves when another fails; longer than that takes.
  private static final long GRACE_SECONDS = 15;

  /// A rank that is asked to stop writes a checkpoint first.
  private static final long PATIENCE_MINUTES = 10;

  /// The time that a rank's line is held back, so that rank 0 prints it first.
  private static final long HOLD_MILLISECONDS = 1_000;

  private final Plan plan;
  private final List<String> command;
  private final List<Process> processes = new ArrayList<>();
  private final CompletableFuture<Integer> firstFailure = new CompletableFuture<>();
  private final Set<String> said = new HashSet<>();
  private boolean stopping;

  /// The ranks to start on this machine.
  ///
  /// @param processes on this machine, as many on every other
  /// @param nodes how many machines
  /// @param nodeRank of this machine, in `[0, nodes)`
  /// @param rendezvous `HOST:PORT` of machine 0; null for this machine and any free port
  /// @param timeout how long ranks wait for each other
  public record Plan(
      int processes, int nodes, int nodeRank, @Nullable String rendezvous, Duration timeout) {
    public Plan {
      Check.positive("nproc", processes);
      Check.positive("nnodes", nodes);
      if (nodeRank < 0 || nodeRank >= nodes) {
        throw new InvalidInputException(
            "--node-rank (%d) must be from 0 to %d, one less than --nnodes"
                .formatted(nodeRank, nodes - 1));
      }
      if (rendezvous == null && nodes > 1) {
        throw new InvalidInputException(
            "--rendezvous is missing: with --nnodes %d give HOST:PORT of machine 0, the same on all"
                .formatted(nodes));
      }
      if (rendezvous != null && !rendezvous.matches(".+:[0-9]{1,5}")) {
        throw new InvalidInputException(
            "--rendezvous %s must be HOST:PORT, for example node0:29500".formatted(rendezvous));
      }
    }

    /// All on this machine.
    public static Plan here(int processes) {
      return new Plan(processes, 1, 0, null, Rendezvous.DEFAULT_TIMEOUT);
    }

    /// Returns the rendezvous of each rank of this machine. Finds a free port if none is given.
    public List<Rendezvous> ranks() {
      String address = rendezvous == null ? "127.0.0.1:" + freePort() : rendezvous;
      int colon = address.lastIndexOf(':');
      var ranks = new ArrayList<Rendezvous>();
      for (int local = 0; local < processes; local++) {
        ranks.add(
            new Rendezvous(
                address.substring(0, colon),
                Integer.parseInt(address.substring(colon + 1)),
                nodeRank * processes + local,
                nodes * processes,
                local,
                timeout));
      }
      return List.copyOf(ranks);
    }

    private static int freePort() {
      try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
        return socket.getLocalPort();
      } catch (IOException e) {
        throw new InvalidInputException("no port is free: " + e.getMessage(), e);
      }
    }
  }

  /// @param main of this program
  /// @param arguments for each rank; without those that led here
  public LocalRanks(Plan plan, Class<?> main, List<String> arguments) {
    this.plan = plan;
    List<String> flags = ManagementFactory.getRuntimeMXBean().getInputArguments();
    command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(flags);
    if (System.getProperty(KERNEL_THREADS) == null) {
      command.add("-D%s=%d".formatted(KERNEL_THREADS, threads()));
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    command.addAll(arguments);
  }

  /// Returns the command that each process runs.
  public List<String> command() {
    return List.copyOf(command);
  }

  /// The processors are shared out evenly.
  private int threads() {
    return Math.max(1, Runtime.getRuntime().availableProcessors() / plan.processes());
  }

  /// Starts the ranks and waits for all to end. A request to end this process asks the ranks to
  /// stop, and waits for them too.
  ///
  /// @param out where rank 0 of this machine prints; the others print nowhere
  /// @param err gets what rank 0 says there, and lines of the others with their rank before them,
  ///   those that nobody has said yet
  /// @return the exit code of the rank that failed first; 0 if none failed
  public int run(Redirect out, OutputStream err) {
    var hook = new Thread(this::stopAndWait, "xlstm-ranks-stop");
    Runtime.getRuntime().addShutdownHook(hook);
    var pumps = new ArrayList<Thread>();
    try {
      for (Rendezvous rank : plan.ranks()) {
        Process process = start(rank, out);
        pumps.add(
            DaemonThreads.start(
                "xlstm-rank-err-" + rank.rank(),
                () -> {
                  if (rank.localRank() == 0) {
                    pass(process.getErrorStream(), err);
                  } else {
                    passLines(rank.rank(), process.errorReader(), err);
                  }
                }));
        Thread waiter =
            DaemonThreads.start(
                "xlstm-rank-wait-" + rank.rank(), () -> ended(rank.rank(), process, err));
        pumps.add(waiter);
      }
      for (Thread pump : pumps) {
        pump.join();
      }
      return firstFailure.getNow(0);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InvalidInputException("interrupted while ranks ran; they were ended", e);
    } finally {
      kill();
      removeHook(hook);
    }
  }

  private synchronized Process start(Rendezvous rank, Redirect out) {
    var builder = new ProcessBuilder(command);
    Map<String, String> environment = builder.environment();
    environment.putAll(rank.environment());
    environment.put(LAUNCHER, Long.toString(ProcessHandle.current().pid()));
    environment.putIfAbsent("OMP_NUM_THREADS", Integer.toString(threads()));
    environment.putIfAbsent("OPENBLAS_NUM_THREADS", Integer.toString(threads()));
    boolean first = rank.localRank() == 0;
    builder.redirectOutput(first ? out : Redirect.DISCARD);
    if (first) {
      builder.redirectInput(Redirect.INHERIT); // a terminal stays one
    }
    if (stopping) {
      throw new InvalidInputException("interrupted before all ranks were started");
    }
    try {
      Process process = builder.start();
      processes.add(process);
      return process;
    } catch (IOException e) {
      throw new InvalidInputException(
          "rank %d cannot be started: %s".formatted(rank.rank(), e.getMessage()), e);
    }
  }

  private void ended(int rank, Process process, OutputStream err) {
    int code = exitCode(process);
    if (code == 0 || !firstFailure.complete(code)) {
      return;
    }
    if (code > SIGNALLED && !isStopping()) {
      say("xlstm: rank %d was ended by signal %d".formatted(rank, code - SIGNALLED), "", err);
    }
    for (Process other : all()) {
      try {
        if (!other.waitFor(GRACE_SECONDS, TimeUnit.SECONDS)) {
          break;
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
    kill();
  }

  private static int exitCode(Process process) {
    try {
      return process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return 1;
    }
  }

  private synchronized List<Process> all() {
    return List.copyOf(processes);
  }

  private synchronized boolean isStopping() {
    return stopping;
  }

  /// Ends the ranks at once.
  public void kill() {
    all().forEach(process -> process.toHandle().destroyForcibly()); // keeps what they said
  }

  /// Asks the ranks to stop where they may.
  public synchronized void stop() {
    stopping = true;
    processes.forEach(process -> process.toHandle().destroy());
  }

  private void stopAndWait() {
    stop();
    long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(PATIENCE_MINUTES);
    try {
      for (Process process : all()) {
        boolean _ = process.waitFor(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    kill();
  }

  private static void removeHook(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // it runs already
    }
  }

  /// Bytes as they come, since rank 0 may draw on a terminal; its lines are remembered.
  private void pass(InputStream from, OutputStream err) {
    byte[] bytes = new byte[1 << 13];
    var line = new StringBuilder();
    try (from) {
      for (int count = from.read(bytes); count >= 0; count = from.read(bytes)) {
        synchronized (said) {
          for (char c : new String(bytes, 0, count, StandardCharsets.UTF_8).toCharArray()) {
            if (c == '\n' || c == '\r') {
              said.add(line.toString());
              line.setLength(0);
            } else {
              line.append(c);
            }
          }
          err.write(bytes, 0, count);
          err.flush();
        }
      }
    } catch (IOException e) {
      // the rank is gone, or nobody listens any more
    }
  }

  private void passLines(int rank, BufferedReader from, OutputStream err) {
    try (from) {
      for (String line = from.readLine(); line != null; line = from.readLine()) {
        var held = new ArrayList<>(List.of(line));
        DaemonThreads.sleep(HOLD_MILLISECONDS);
        while (from.ready()) {
          @Nullable String next = from.readLine();
          if (next == null) {
            break;
          }
          held.add(next);
        }
        held.forEach(each -> say(each, "rank " + rank + ": ", err));
      }
    } catch (IOException e) {
      // the rank is gone
    }
  }

  private void say(String line, String before, OutputStream err) {
    synchronized (said) {
      if (said.add(line)) {
        try {
          err.write((before + line + System.lineSeparator()).getBytes(StandardCharsets.UTF_8));
          err.flush();
        } catch (IOException e) {
          // nobody listens any more
        }
      }
    }
  }

  /// Returns whether [#run] started this process.
  public static boolean isRank() {
    return System.getenv(LAUNCHER) != null;
  }

  /// Watches the starting process; in a process that [#run] started: does something once the
  /// starting process is gone, however it ended. Elsewhere does nothing.
  ///
  /// @param action ends this process
  public static void whenLauncherIsGone(Runnable action) {
    @Nullable String launcher = System.getenv(LAUNCHER);
    if (launcher == null) {
      return;
    }
    DaemonThreads.start(
        "xlstm-launcher",
        () -> {
          while (ProcessHandle.current().parent().map(ProcessHandle::pid).orElse(0L)
              == Long.parseLong(launcher)) {
            DaemonThreads.sleep(HOLD_MILLISECONDS);
          }
          action.run();
        });
  }
}
