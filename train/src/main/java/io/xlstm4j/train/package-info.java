@NullMarked
package io.xlstm4j.train;

import org.jspecify.annotations.NullMarked;
