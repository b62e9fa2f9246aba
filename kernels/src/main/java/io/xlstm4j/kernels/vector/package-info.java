/// The kernels on the Vector API, `jdk.incubator.vector`: here those that belong to no cell
/// (convolution, norms, losses, activations, AdamW), in packages below the others.
///
/// [VectorKernels] is the only way in, and `Kernels` finds it by its name, only where the module is
/// there: no class outside `vector` refers to one of these, so none is loaded where the module is
/// missing. Every kernel has a definition in `reference`, and tests compare the two. What can be
/// written without vectors belongs elsewhere.
@NullMarked
package io.xlstm4j.kernels.vector;

import org.jspecify.annotations.NullMarked;
