@NullMarked
package io.xlstm4j.core;

import org.jspecify.annotations.NullMarked;
