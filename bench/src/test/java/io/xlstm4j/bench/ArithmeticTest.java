package io.xlstm4j.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.List;
import org.junit.jupiter.api.Test;

class ArithmeticTest {
  private static final long HEAD = 128 * 256;

  /// I 256, NH 4: projections 3 x 128 x 256, convolution 4 x 256, q, k, v 3 x 4 x 256, gates 6 x 4
  /// x 256, cell 2 x 64 x 256.
  private static final long MLSTM = 98_304 + 1_024 + 3_072 + 6_144 + 32_768;

  /// Convolution 4 x 128, gates and recurrence 2 x 4 x 32 x 128, feed-forward 3 x 192 x 128.
  private static final long SLSTM = 512 + 32_768 + 73_728;

  private static long multiplyAdds(int blocks, List<Integer> slstmAt) {
    return Arithmetic.multiplyAddsPerToken(
        PaperModelConfig.of(256, BlockStackConfig.of(blocks, 128, slstmAt)));
  }

  @Test
  void counts_each_block_once_and_the_head() {
    assertThat(multiplyAdds(1, List.of())).isEqualTo(HEAD + MLSTM);
    assertThat(multiplyAdds(1, List.of(0))).isEqualTo(HEAD + SLSTM);
    assertThat(multiplyAdds(7, List.of(1))).isEqualTo(HEAD + 6 * MLSTM + SLSTM);
  }

  @Test
  void training_is_six_operations_for_each_multiply_add() {
    var config = PaperModelConfig.of(256, BlockStackConfig.of(7, 128, List.of(1)));
    assertThat(Arithmetic.trainingFlopPerToken(config)).isEqualTo(5_925_888);
  }
}
