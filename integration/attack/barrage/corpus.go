package barrage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// seeds are inputs to begin with: each move, with some bytes behind it.
func seeds() (inputs [][]byte) {
	for first := range 256 {
		inputs = append(inputs, []byte{byte(first), 1, byte(first >> 3), 2, byte(first), 3, 7, 200, 1, byte(first), 5, 0, 1, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1})
	}
	return inputs
}

// inputsIn returns the inputs that the fuzzer of the go command has kept in a folder, in
// the order of their names. It returns none if there is no such folder.
func inputsIn(folder string) (inputs [][]byte, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		_, value, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
		quoted, ok := bytes.CutPrefix(value, []byte("[]byte("))
		in, err := strconv.Unquote(string(bytes.TrimSuffix(quoted, []byte(")"))))
		if err != nil || !ok {
			return nil, fmt.Errorf("barrage: %s holds no input", name)
		}
		inputs = append(inputs, []byte(in))
	}
	return inputs, nil
}
