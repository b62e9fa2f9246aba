@NullMarked
package io.xlstm4j.cli;

import org.jspecify.annotations.NullMarked;
