package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
)

// digestOf returns the SHA-256 over the model and its cases: name, length and content of
// each file.
func digestOf(files fs.FS) (string, error) {
	names, err := fs.Glob(files, "*.pv")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range append(names, casesFile) {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
