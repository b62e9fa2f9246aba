package io.xlstm4j.cuda.mlstm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.mlstm.MlstmWork.Field;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class MlstmShapeTest {
  private static final MlstmShape SHAPE = new MlstmShape(2, 300, 4, 16, 32);

  @Test
  void sizes_that_no_kernel_takes_are_refused_with_the_value() {
    assertThatThrownBy(() -> new MlstmShape(1, 0, 1, 1, 1)).hasMessageContaining("length (0)");
    assertThatThrownBy(() -> new MlstmShape(1 << 12, 8, 1 << 5, 8, 8))
        .hasMessage("batch (4096) times heads (32) must be at most 65535");
    assertThatThrownBy(() -> new MlstmShape(1 << 12, 1 << 20, 1, 8, 8))
        .hasMessageContaining("less than 2^31");
    assertThatThrownBy(() -> new MlstmShape(1, 1, 1, 20_000, 8)).hasMessageContaining("20000");
  }

  @Test
  void memory_that_is_too_short_is_named() {
    var short_ = new DeviceSpan(1024, 64);
    assertThatThrownBy(() ->
            new MlstmInputs(short_, short_, short_, short_, short_, null, null, null)
                .check(SHAPE, ElementType.BFLOAT16))
        .hasMessage("q (B, S, NH, DQK) needs 76,800 bytes, but has 64");
  }

  @Test
  void few_pairs_are_divided_into_segments_and_many_are_not() {
    MlstmChunks few = MlstmChunks.of(new MlstmShape(1, 65_536, 4, 128, 256), 128, 2, 132);
    assertThat(few.number()).isEqualTo(512);
    assertThat(few.segments()).isBetween(30, 33);
    assertThat(few.ofSegment() * few.segments()).isGreaterThanOrEqualTo(512);
    MlstmChunks many = MlstmChunks.of(new MlstmShape(8, 8192, 8, 256, 512), 128, 8, 132);
    assertThat(many.segments()).isEqualTo(1);
    MlstmChunks one = MlstmChunks.of(new MlstmShape(1, 1, 1, 8, 8), 128, 1, 132);
    assertThat(one).isEqualTo(new MlstmChunks(128, 1, 1));
  }

  @Test
  void large_states_get_long_chunks_where_the_products_are_fast() {
    var wide = new MlstmShape(8, 8192, 8, 256, 512);
    assertThat(MlstmChunks.lengthFor(wide, MlstmVariant.HOPPER)).isEqualTo(256);
    assertThat(MlstmChunks.lengthFor(wide, MlstmVariant.GENERAL)).isEqualTo(128);
    assertThat(MlstmChunks.lengthFor(new MlstmShape(8, 8192, 16, 128, 256), MlstmVariant.HOPPER))
        .isEqualTo(128);
    assertThat(MlstmChunks.lengthFor(new MlstmShape(8, 100, 8, 256, 512), MlstmVariant.HOPPER))
        .isEqualTo(128);
  }

  /// The names differ in case alone: `dcLast` here, `DC_LAST` there.
  @Test
  void the_structure_has_the_fields_of_the_source_in_its_order() throws Exception {
    String source = Files.readString(Path.of("src/main/cuda/mlstm/common.cuh"));
    String structure =
        source
            .substring(source.indexOf("struct Work {"), source.indexOf("\n};"))
            .replaceAll("//.*", "");
    var names = new ArrayList<String>();
    var pointers = Pattern.compile("\\*\\s*(\\w+)").matcher(structure);
    while (pointers.find()) {
      names.add(pointers.group(1).replaceAll("([a-z])([A-Z])", "$1_$2").toUpperCase(Locale.ROOT));
    }
    assertThat(names).isEqualTo(Arrays.stream(Field.values()).map(Field::name).toList());
    var work = new MlstmWork();
    work.set(Field.SEGMENT_C, new DeviceSpan(4096, 16));
    try (var arena = Arena.ofConfined()) {
      var bytes = work.structure(arena, SHAPE, new MlstmChunks(128, 3, 3));
      assertThat(bytes.byteSize()).isEqualTo(8L * names.size() + 4 * 8);
      assertThat(bytes.get(ValueLayout.JAVA_LONG, 8L * (names.size() - 1))).isEqualTo(4096);
      assertThat(bytes.get(ValueLayout.JAVA_INT, 8L * names.size() + 4 * 7)).isEqualTo(3);
    }
  }
}
