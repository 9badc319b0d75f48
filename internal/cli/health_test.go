package cli

import (
	"errors"
	"strings"
	"testing"
)

// A monitor gets 0 or 1, whatever is wrong.
func TestHealthCodes(t *testing.T) {
	for _, tt := range []struct {
		notes []string
		err   error
		code  Code
		out   string
		errs  string
	}{
		{nil, nil, OK, "ok\n", ""},
		{[]string{"one\x1b", "two"}, nil, Failure, "one\uFFFD\ntwo\n", "not healthy: 2 notes"},
		{nil, Errorf(Permission, "", "no permission"), Failure, "", "no permission"},
		{nil, Errorf(Usage, "", "2 edges are running"), Failure, "", "2 edges are running"},
		{nil, errors.New("odd"), Failure, "", "odd"},
	} {
		var out strings.Builder
		err := Health(&out, tt.notes, tt.err)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if CodeOf(err) != tt.code || out.String() != tt.out || text != tt.errs {
			t.Errorf("%q, %v: code %d, wrote %q, %q", tt.notes, tt.err, CodeOf(err), out.String(), text)
		}
	}
}
