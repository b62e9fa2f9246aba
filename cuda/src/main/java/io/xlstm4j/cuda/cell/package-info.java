/// What the kernels of all cells share: types of elements, arguments, checks of memory.
@NullMarked
package io.xlstm4j.cuda.cell;

import org.jspecify.annotations.NullMarked;
