package cli

import "unsafe"

// overwrite writes over the bytes of s, which must be part of an element of
// os.Args. On Linux the runtime builds those strings on the kernel's own
// argument memory, which is writable, and from which /proc/PID/cmdline is
// read; the test in this package holds the runtime to that.
func overwrite(s string) {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for i := range b {
		b[i] = '*'
	}
}
