package io.xlstm4j.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// Turns Ctrl-C into a request that work may heed at its next safe place. The program ends with 0
/// once the work has ended; a second Ctrl-C changes nothing, a kill still kills.
final class Interrupt implements AutoCloseable {
  private static final long PATIENCE_MINUTES = 10;

  private final CountDownLatch ended = new CountDownLatch(1);
  private final Thread hook = new Thread(this::heed, "interrupt");
  private volatile boolean requested;

  Interrupt() {
    Runtime.getRuntime().addShutdownHook(hook);
  }

  boolean requested() {
    return requested;
  }

  private void heed() {
    requested = true;
    try {
      if (ended.await(PATIENCE_MINUTES, TimeUnit.MINUTES)) {
        Runtime.getRuntime().halt(0); // an end that was asked for is no failure
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    if (requested) {
      ended.countDown();
    } else {
      Runtime.getRuntime().removeShutdownHook(hook);
    }
  }
}
