package adversary_test

import (
	"bytes"
	"slices"
	"testing"

	"hedgerow/integration/attack/adversary"
)

func TestSteps(t *testing.T) {
	want := []adversary.Step{{Op: 1, A: 2, B: 3, Bytes: []byte{}}, {Op: 4, A: 1, B: 2, Bytes: []byte("abc")}}
	var script []byte
	for _, s := range want {
		script = s.Append(script)
	}
	for _, rest := range [][]byte{nil, {1}, {1, 2, 3}, {1, 2, 3, 4, 5}} {
		got := slices.Collect(adversary.Steps(append(slices.Clone(script), rest...)))
		if len(got) != 2 || got[1].Op != 4 || got[1].Number() != 258 || !bytes.Equal(got[1].Bytes, want[1].Bytes) {
			t.Errorf("%v with %v behind it", got, rest)
		}
	}
}
