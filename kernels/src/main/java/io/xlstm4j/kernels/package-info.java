/// The facade of the kernels: [Kernels], the interfaces of all kernels, their shapes and inputs.
///
/// Modules `torch`, `runtime` and `bench` call this package, and `block` for whole blocks. All
/// memory is float32 in a `MemorySegment`. Nothing here computes: every kernel has two
/// implementations, plain loops in `reference` and the Vector API in `vector`, which [Kernels]
/// finds by name. Begin with [Kernels], then [SlstmKernel] and [MlstmKernel], the two cells.
@NullMarked
package io.xlstm4j.kernels;

import org.jspecify.annotations.NullMarked;
