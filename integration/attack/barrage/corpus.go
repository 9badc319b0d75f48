package barrage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Corpus returns the inputs that the fuzzer of the go command has kept in a folder, in
// the order of their names. It returns none if there is no such folder.
func Corpus(folder string) (inputs [][]byte, err error) {
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
