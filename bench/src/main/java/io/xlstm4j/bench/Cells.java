package io.xlstm4j.bench;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.SlstmKernel;
import java.lang.foreign.Arena;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import java.util.SequencedMap;
import java.util.function.Consumer;
import java.util.function.Function;

/// The recurrent cells alone, over whole sequences: the kernels that layers and models call,
/// without projections and without autograd around them.
final class Cells implements Benchmark {
  /// The inner width of an mLSTM layer as a multiple of D.
  private static final int MLSTM_WIDENING = 2;

  @Override
  public String name() {
    return "cells";
  }

  @Override
  public String description() {
    return "the sLSTM and mLSTM cells alone, forward, and forward and backward";
  }

  @Override
  public double warmupSeconds() {
    return 5;
  }

  @Override
  public List<Case> cases(Setting setting) {
    Sizes sizes = setting.sizes();
    SequencedMap<String, Object> slstm = keys(sizes);
    slstm.put("D", sizes.dim());
    SequencedMap<String, Object> mlstm = keys(sizes);
    mlstm.put("DH", mlstmHeadDim(sizes));
    return List.of(
        benchCase(
            "sLSTM cell forward", setting, slstm, f -> slstm(sizes, f), SlstmCellWork::forward),
        benchCase(
            "sLSTM cell forward+backward",
            setting,
            slstm,
            f -> slstm(sizes, f),
            SlstmCellWork::forwardAndBackward),
        benchCase(
            "mLSTM cell forward", setting, mlstm, f -> mlstm(sizes, f), MlstmCellWork::forward),
        benchCase(
            "mLSTM cell forward+backward",
            setting,
            mlstm,
            f -> mlstm(sizes, f),
            MlstmCellWork::forwardAndBackward));
  }

  private static <W> Case benchCase(
      String name,
      Setting setting,
      SequencedMap<String, Object> keys,
      Function<NativeFloats, W> prepare,
      Consumer<W> run) {
    return new Case(
        name,
        () -> {
          try (Arena arena = Arena.ofShared()) {
            W work = prepare.apply(new NativeFloats(arena, new Random(0)));
            Timing.Result timed = setting.timing().measure(() -> run.accept(work));
            return Measurement.of(name, Kernels.shared().threads().count(), timed, keys)
                .withTokens(setting.sizes().tokens());
          }
        });
  }

  private static SlstmCellWork slstm(Sizes sizes, NativeFloats floats) {
    Kernels kernels = Kernels.shared();
    return new SlstmCellWork(
        kernels.slstm(),
        kernels.threads(),
        new SlstmKernel.Size(
            sizes.batch(), sizes.length(), sizes.heads(), sizes.dim() / sizes.heads()),
        floats);
  }

  private static MlstmCellWork mlstm(Sizes sizes, NativeFloats floats) {
    int width = mlstmHeadDim(sizes);
    return new MlstmCellWork(
        Kernels.shared().mlstm(),
        new MlstmShape(sizes.batch(), sizes.length(), sizes.heads(), width, width),
        floats);
  }

  private static int mlstmHeadDim(Sizes sizes) {
    return MLSTM_WIDENING * sizes.dim() / sizes.heads();
  }

  private static SequencedMap<String, Object> keys(Sizes sizes) {
    var keys = new LinkedHashMap<String, Object>();
    keys.put("B", sizes.batch());
    keys.put("S", sizes.length());
    keys.put("NH", sizes.heads());
    return keys;
  }
}
