// Package format writes single values as people read them: lengths of time, numbers
// of bytes, counts, and text from strangers. Whole documents are written by package
// render.
package format
