package barrage

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
)

// Script is all that was played to one stage.
type Script struct {
	Seed   uint64
	Inputs [][]byte
}

// text returns the script as text: the seed, and a line for each input.
func (s *Script) text() []byte {
	b := fmt.Appendf(nil, "seed %d\n", s.Seed)
	for _, in := range s.Inputs {
		b = append(hex.AppendEncode(b, in), '\n')
	}
	return b
}

// parseScript reads what text returns.
func parseScript(text []byte) (*Script, error) {
	s := new(Script)
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if _, err := fmt.Sscanf(string(first), "seed %d", &s.Seed); err != nil {
		return nil, fmt.Errorf("barrage: the first line is no seed: %w", err)
	}
	for line := range bytes.Lines(rest) {
		in, err := hex.DecodeString(string(bytes.TrimSpace(line)))
		if err != nil {
			return nil, fmt.Errorf("barrage: input %d: %w", len(s.Inputs)+1, err)
		}
		s.Inputs = append(s.Inputs, in)
	}
	return s, nil
}

// keep writes the script into a file and returns its name, or why there is none.
func (s *Script) keep() string {
	f, err := os.CreateTemp("", "barrage-*.script")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if _, err := f.Write(s.text()); err != nil {
		return err.Error()
	}
	return f.Name()
}
