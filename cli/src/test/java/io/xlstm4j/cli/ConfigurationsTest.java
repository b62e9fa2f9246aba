package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import io.xlstm4j.core.SamplerConfig;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.runtime.GenerationOptions;
import io.xlstm4j.torch.AdamW;
import io.xlstm4j.train.config.ParameterGroup;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.config.TrainingConfig;
import java.lang.reflect.Method;
import java.lang.reflect.RecordComponent;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every part of a configuration can be changed by itself.
class ConfigurationsTest {
  static Stream<Class<?>> records() {
    var found =
        new ClassFileImporter()
                .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                .importPackages("io.xlstm4j.core.config", "io.xlstm4j.train.config")
                .stream()
                .<Class<?>>map(type -> type.reflect())
                .filter(type -> type.isRecord() && type.getSimpleName().endsWith("Config"));
    return Stream.concat(
        found,
        Stream.<Class<?>>of(
            SamplerConfig.class,
            ParameterGroup.class,
            GenerationOptions.class,
            AdamW.Options.class));
  }

  @ParameterizedTest
  @MethodSource("records")
  void every_component_of_a_configuration_has_a_with_method(Class<?> type) {
    for (RecordComponent component : type.getRecordComponents()) {
      String name = component.getName();
      String with = "with" + name.substring(0, 1).toUpperCase(Locale.ROOT) + name.substring(1);
      assertThat(type.getMethods())
          .as("%s.%s", type.getSimpleName(), with)
          .anyMatch(method ->
              method.getName().equals(with)
                  && method.getParameterCount() == 1
                  && method.getReturnType() == type);
    }
  }

  @ParameterizedTest
  @MethodSource("examples")
  void a_with_method_changes_its_component_alone(Record example) throws Exception {
    for (RecordComponent component : example.getClass().getRecordComponents()) {
      String name = component.getName();
      String with = "with" + name.substring(0, 1).toUpperCase(Locale.ROOT) + name.substring(1);
      Object value = component.getAccessor().invoke(example);
      for (Method method : example.getClass().getMethods()) {
        if (method.getName().equals(with) && value != null) {
          assertThat(method.invoke(example, value)).as(with).isEqualTo(example);
        }
      }
    }
  }

  static List<Record> examples() {
    var run = RunConfig.DEFAULT;
    return List.of(
        run,
        run.data(),
        run.training(),
        run.optimizer(),
        run.schedule(),
        run.validation(),
        run.checkpoints(),
        run.logging(),
        run.samples(),
        SeriesConfig.of("x.csv", "y"),
        MlstmLayerConfig.DEFAULT,
        SlstmLayerConfig.DEFAULT,
        FeedForwardConfig.DEFAULT,
        BlockStackConfig.of(2, 64, List.of(1)),
        LargeModelConfig.of(10, 64, 2, 2),
        PaperModelConfig.of(10, BlockStackConfig.of(2, 64, List.of(1))),
        SamplerConfig.GREEDY,
        GenerationOptions.DEFAULT.withSeed(1),
        AdamW.Options.DEFAULT);
  }

  @Test
  void parts_are_changed_one_by_one() {
    TrainingConfig training = TrainingConfig.DEFAULT.withSteps(7).withTokens(9).withBatchSize(4);
    assertThat(training.steps()).isEqualTo(7);
    assertThat(training.tokens()).isEqualTo(9);
    assertThat(training.batchSize()).isEqualTo(4);
    assertThat(training.seed()).isEqualTo(TrainingConfig.DEFAULT.seed());
  }
}
