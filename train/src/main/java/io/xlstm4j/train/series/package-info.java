/// Series of numbers from files: windows over them, and their scales.
@NullMarked
package io.xlstm4j.train.series;

import org.jspecify.annotations.NullMarked;
