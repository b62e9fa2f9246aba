/// The memory and threads that every kernel uses: floats in a `MemorySegment`, workspaces, and
/// worker threads.
///
/// No mathematics and no vectors; depends on nothing else of ours. All other packages of the
/// kernels call it, and `bench` starts threads of its own. Begin with [KernelThreads], then
/// [SegmentFloats].
@NullMarked
package io.xlstm4j.kernels.memory;

import org.jspecify.annotations.NullMarked;
