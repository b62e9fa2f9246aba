package io.xlstm4j.cuda.slstm;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.cuda.cell.ElementType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ClusterLayoutTest {
  /// Of an H100 or H200.
  private static final int SHARED_LIMIT = 227 << 10;

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void every_width_has_layouts_that_cover_its_units_and_fit(ElementType type) {
    for (int width = 1; width <= SlstmShape.LARGEST_HEAD_DIM; width++) {
      var layouts = ClusterLayout.candidates(new SlstmShape(16, 8, 2, width), type, SHARED_LIMIT);
      assertThat(layouts).isNotEmpty();
      for (ClusterLayout layout : layouts) {
        assertThat(layout.blocks() * layout.warps() * 8).isGreaterThanOrEqualTo(width);
        assertThat(layout.warps()).isBetween(1, 8);
        assertThat(layout.forwardSharedBytes()).isLessThanOrEqualTo(SHARED_LIMIT);
        assertThat(layout.backwardSharedBytes()).isLessThanOrEqualTo(SHARED_LIMIT);
        assertThat(layout.forwardSharedSteps()).isNotNegative().matches(steps -> steps % 2 == 0);
        assertThat(layout.backwardSharedSteps()).isNotNegative().matches(steps -> steps % 2 == 0);
      }
    }
  }

  @Test
  void width_192_is_divided_among_eight_blocks_of_three_warps() {
    var shape = new SlstmShape(17, 8, 4, 192);
    var layout = ClusterLayout.candidates(shape, ElementType.BFLOAT16, SHARED_LIMIT).get(0);
    assertThat(layout.blocks()).isEqualTo(8);
    assertThat(layout.warps()).isEqualTo(3);
    assertThat(layout.isAllShared()).isTrue();
    assertThat(layout.batchTiles()).isEqualTo(2);
    // 2 x 24 tiles of y, 3 warps x 12 steps of the kernel, 2 barriers
    assertThat(layout.forwardSharedBytes()).isEqualTo(2 * 24 * 256 + 3 * 12 * 1024 + 16);
    // 2 x 12 tiles of gate gradients, 2 x 3 x 8 parts, 3 warps x 2 groups x 6 steps, 6 barriers
    assertThat(layout.backwardSharedBytes())
        .isEqualTo(2 * 12 * 256 + 2 * 3 * 8 * 512 + 3 * 12 * 1024 + 48);
    // bfloat16, each weight once: 192 x 4 x 192 a head
    assertThat(layout.fragmentBytes(true)).isEqualTo(4L * 192 * 4 * 192 * 2);
    assertThat(layout.fragmentBytes(false)).isEqualTo(4L * 192 * 4 * 192 * 2);
  }

  @Test
  void what_does_not_fit_into_shared_memory_stays_in_the_cache() {
    var shape = new SlstmShape(16, 8, 1, 1024);
    var layout = ClusterLayout.candidates(shape, ElementType.FLOAT32, SHARED_LIMIT).get(0);
    assertThat(layout.isAllShared()).isFalse();
    assertThat(layout.blocks()).isEqualTo(16);
  }
}
