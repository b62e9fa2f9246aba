/// The kernels as plain loops: the definition of what every kernel computes, and what runs where
/// the Vector API is missing.
///
/// Written to be read beside the equations and compared with, not to be fast. [ReferenceKernels] is
/// the way in, by `Kernels`. Begin with `ScalarSlstmKernel` or `ScalarMlstmKernel`, the two cells.
@NullMarked
package io.xlstm4j.kernels.reference;

import org.jspecify.annotations.NullMarked;
