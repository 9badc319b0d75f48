package tap

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

func TestConfigValidate(t *testing.T) {
	good := []Config{
		{Name: "e"}, {Name: "edge0"}, {Name: "edge-0.1_x"}, {Name: "fifteen-bytes15"},
		{Name: "edge0", MTU: MinMTU}, {Name: "edge0", MTU: MaxMTU}, {Name: "edge0", MAC: [6]byte{2, 1}},
		{Name: "edge0", Queues: MaxQueues, Backend: BackendWater},
	}
	for _, c := range good {
		if err := c.withDefaults().validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	bad := map[string]Config{
		"it is empty":                   {},
		"it is the name of a directory": {Name: ".."},
		`it contains '"'`:               {Name: `"`},
		"it contains a control":         {Name: "edge\n"},
		"an MTU of 67 bytes":            {Name: "edge0", MTU: MinMTU - 1},
		"an MTU of 65522 bytes":         {Name: "edge0", MTU: MaxMTU + 1},
		"an MTU of -1 bytes":            {Name: "edge0", MTU: -1},
		"it is a group address":         {Name: "edge0", MAC: [6]byte{1}},
		"-1 queues are impossible":      {Name: "edge0", Queues: -1},
		"257 queues are impossible":     {Name: "edge0", Queues: MaxQueues + 1},
		"backend(3) does not exist":     {Name: "edge0", Backend: 3},
	}
	if maxName == MaxName {
		delete(bad, `it contains '"'`) // of Windows only
		bad["it has 16 bytes and 15 are allowed"] = Config{Name: "sixteen-bytes-16"}
		bad["it contains '/'"] = Config{Name: "a/b"}
		bad["it contains ' '"] = Config{Name: "a b"}
		bad["it contains '%'"] = Config{Name: "edge%d"}
		bad["it contains ':'"] = Config{Name: "edge0:1"}
	}
	for want, c := range bad {
		err := c.withDefaults().validate()
		var e *OpenError
		if !errors.As(err, &e) || !strings.Contains(e.Sentence, want) || !strings.HasSuffix(e.Sentence, ".") {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

func TestOpenError(t *testing.T) {
	e := &OpenError{Code: "E03", Sentence: "no permission.", Errno: syscall.EACCES}
	if e.Error() != "no permission. [E03]" || !errors.Is(e, fs.ErrPermission) {
		t.Errorf("%v", e)
	}
	e = &OpenError{Sentence: "odd."}
	if e.Error() != "odd." || e.Unwrap() != nil {
		t.Errorf("%v, %v", e, e.Unwrap())
	}
}
