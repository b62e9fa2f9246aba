@NullMarked
package io.xlstm4j.torch;

import org.jspecify.annotations.NullMarked;
