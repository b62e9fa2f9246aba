/// The compiled kernels of this module, and the choice among them for a chip.
@NullMarked
package io.xlstm4j.cuda.binary;

import org.jspecify.annotations.NullMarked;
