/// The common parts of the kernels of all cells: types of elements, arguments, checks of memory.
@NullMarked
package io.xlstm4j.cuda.cell;

import org.jspecify.annotations.NullMarked;
