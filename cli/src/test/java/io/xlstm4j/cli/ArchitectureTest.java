package io.xlstm4j.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Who may import whom, and who may do what.
class ArchitectureTest {
  private static final String ROOT = "io.xlstm4j";

  /// Every module, with those of ours that it may use.
  private static final Map<String, List<String>> ALLOWED =
      Map.of(
          "core", List.of(),
          "kernels", List.of(),
          "cuda", List.of(),
          "text", List.of(),
          "torch", List.of("core", "kernels", "cuda"),
          "runtime", List.of("core", "kernels"),
          "train", List.of("torch", "text", "core"),
          "bench", List.of("core", "kernels", "runtime", "text", "torch", "train"),
          "cli", List.of("core", "kernels", "runtime", "text", "torch", "train", "bench"));

  private static final String VECTOR_KERNELS = ROOT + ".kernels.vector..";
  private static final String VECTOR_API = "jdk.incubator.vector..";

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages(ROOT);

  static Set<String> modules() {
    return new TreeSet<>(ALLOWED.keySet());
  }

  @Test
  void the_scan_saw_every_module_and_no_other() {
    var seen = new TreeSet<String>();
    for (JavaClass type : CLASSES) {
      seen.add(type.getPackageName().substring(ROOT.length() + 1).replaceAll("\\..*", ""));
    }
    assertThat(seen).isEqualTo(modules());
    assertThat(CLASSES.contain(Main.class)).isTrue();
  }

  @ParameterizedTest
  @MethodSource("modules")
  void a_module_uses_only_the_modules_it_may(String module) {
    var packages = new ArrayList<String>();
    packages.add(ROOT + "." + module + "..");
    for (String other : ALLOWED.getOrDefault(module, List.of())) {
      packages.add(ROOT + "." + other + "..");
    }
    classes()
        .that()
        .resideInAPackage(ROOT + "." + module + "..")
        .should()
        .onlyDependOnClassesThat(
            DescribedPredicate.<JavaClass>not(JavaClass.Predicates.resideInAPackage(ROOT + ".."))
                .or(JavaClass.Predicates.resideInAnyPackage(packages.toArray(String[]::new))))
        .check(CLASSES);
  }

  @Test
  void only_torch_train_and_the_benchmarks_touch_libtorch() {
    noClasses()
        .that()
        .resideOutsideOfPackages(ROOT + ".torch..", ROOT + ".train..", ROOT + ".bench..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("org.bytedeco..")
        .check(CLASSES);
  }

  /// The JVM loads a class that links the Vector API only where its module is present, so all of
  /// them stand behind one door, which is a name in a string.
  @Test
  void only_the_vector_kernels_link_the_vector_api() {
    noClasses()
        .that()
        .resideOutsideOfPackage(VECTOR_KERNELS)
        .should()
        .dependOnClassesThat()
        .resideInAPackage(VECTOR_API)
        .check(CLASSES);
  }

  /// Without a device, libtorch makes a tensor on the CPU, where a model on a GPU cannot use it.
  @Test
  void tensors_are_made_with_a_device() {
    Set<String> factories =
        Set.of(
            "arange",
            "empty",
            "empty_strided",
            "eye",
            "from_blob",
            "full",
            "linspace",
            "ones",
            "rand",
            "randint",
            "randn",
            "randperm",
            "scalar_tensor",
            "tensor",
            "zeros");
    Set<String> withDevice =
        Set.of("org.bytedeco.pytorch.TensorOptions", "org.bytedeco.pytorch.DeviceOptional");
    var others = // these make tensors on the CPU and say so
        noClasses()
            .that()
            .resideInAnyPackage(ROOT + ".torch..", ROOT + ".train..")
            .and()
            .doNotHaveFullyQualifiedName(ROOT + ".torch.Tensors")
            .and()
            .doNotHaveFullyQualifiedName(ROOT + ".torch.TensorMemory");
    others
        .and()
        .doNotHaveFullyQualifiedName(ROOT + ".torch.Init") // moved by whoever asks for them
        .should()
        .callMethodWhere(
            DescribedPredicate.describe(
                "a new tensor without a device",
                call ->
                    call.getTargetOwner().getName().equals("org.bytedeco.pytorch.global.torch")
                        && factories.contains(call.getName())
                        && call.getTarget().getRawParameterTypes().stream()
                            .noneMatch(type -> withDevice.contains(type.getName()))))
        .check(CLASSES);
    others
        .and()
        .doNotHaveFullyQualifiedName(ROOT + ".torch.Ops") // whose options have a device
        .should()
        .callConstructor(TensorOptions.class, ScalarType.class)
        .check(CLASSES);
  }

  @Test
  void nothing_outside_depends_on_the_vector_kernels() {
    noClasses()
        .that()
        .resideOutsideOfPackage(VECTOR_KERNELS)
        .should()
        .dependOnClassesThat()
        .resideInAPackage(VECTOR_KERNELS)
        .check(CLASSES);
  }

  @Test
  void the_scan_saw_the_vector_kernels_and_that_they_link_the_vector_api() {
    JavaClasses kernels = CLASSES.that(JavaClass.Predicates.resideInAPackage(VECTOR_KERNELS));
    assertThat(kernels).hasSizeGreaterThan(40);
    assertThat(kernels)
        .as("classes that link the Vector API")
        .filteredOn(type ->
            type.getDirectDependenciesFromSelf().stream()
                .anyMatch(d -> d.getTargetClass().getPackageName().equals("jdk.incubator.vector")))
        .hasSizeGreaterThan(30);
    assertThat(CLASSES.contain(ROOT + ".kernels.vector.VectorKernels")).isTrue();
  }

  @Test
  void other_modules_see_the_facade_of_the_kernels_their_blocks_and_their_memory_alone() {
    noClasses()
        .that()
        .resideOutsideOfPackage(ROOT + ".kernels..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(ROOT + ".kernels.reference..", VECTOR_KERNELS)
        .check(CLASSES);
    var rooms = new TreeSet<String>();
    for (JavaClass type : CLASSES) {
      if (type.getPackageName().startsWith(ROOT + ".kernels.")) {
        rooms.add(type.getPackageName().substring((ROOT + ".kernels.").length()));
      }
    }
    assertThat(rooms)
        .containsExactly(
            "block",
            "memory",
            "reference",
            "vector",
            "vector.decode",
            "vector.gemm",
            "vector.math",
            "vector.mlstm",
            "vector.slstm");
  }

  @Test
  void only_the_program_prints_exits_and_reads_flags() {
    var others = noClasses().that().resideOutsideOfPackage(ROOT + ".cli..");
    others.should().accessField(System.class, "out").check(CLASSES);
    others.should().accessField(System.class, "err").check(CLASSES);
    others.should().callMethod(System.class, "exit", int.class).check(CLASSES);
    others.should().callMethod(Throwable.class, "printStackTrace").check(CLASSES);
    others
        .should()
        .callMethod(Throwable.class, "printStackTrace", PrintStream.class)
        .check(CLASSES);
    others.should().dependOnClassesThat().resideInAPackage("picocli..").check(CLASSES);
  }

  @Test
  void no_package_depends_on_itself_through_others() {
    slices().matching(ROOT + ".(**)").should().beFreeOfCycles().check(CLASSES);
  }
}
